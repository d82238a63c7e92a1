// Package openapi writes an OpenAPI 3.1 document from lists of operations in Go, and the schemas in it from the Go types that are encoded.
//
// Guarantee: a schema says of a type what encoding/json writes for it, so that document and answers cannot drift apart; paths are written from the
// patterns of the router, and the parameters in them from their names.
package openapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Operation is one method on one path.
type Operation struct {
	Method string
	// Path is the pattern of the router: with :name for one part and *name for the rest.
	Path    string
	Tag     string
	Summary string
	// Params are those in the query and the headers. Of a part of the path it needs one only to say more of it than that it is text.
	Params  []Param
	Body    *Body
	Answers []Answer
}

// Param is a parameter of an operation.
type Param struct {
	Name string
	// In is query, header or path.
	In       string
	Doc      string
	Required bool
	Schema   Schema
}

// Body is what an operation takes, by media type.
type Body struct {
	Optional bool
	Content  Content
}

// Answer is what an operation answers with a status.
type Answer struct {
	// Status is 0 for all that have no answer of their own.
	Status  int
	Doc     string
	Content Content
}

// Content has a schema for each media type; a nil schema takes anything.
type Content map[string]Schema

// Schema is a JSON schema, draft 2020-12.
type Schema map[string]any

// JSON is the content of a body in JSON.
func JSON(s Schema) Content { return Content{"application/json": s} }

// Answers gives an answer with its usual text.
func Answers(status int, content Content) Answer {
	return Answer{Status: status, Doc: http.StatusText(status), Content: content}
}

// Fails gives answers with these statuses and all the same content.
func Fails(content Content, statuses ...int) []Answer {
	list := make([]Answer, len(statuses))
	for i, status := range statuses {
		list[i] = Answers(status, content)
	}
	return list
}

// Query gives an optional parameter in the query.
func Query(name, doc string, s Schema) Param {
	return Param{Name: name, In: "query", Doc: doc, Schema: s}
}

// Header gives an optional header.
func Header(name, doc string, s Schema) Param {
	return Param{Name: name, In: "header", Doc: doc, Schema: s}
}

// PathPart says more of a part of the path.
func PathPart(name, doc string, s Schema) Param {
	return Param{Name: name, In: "path", Doc: doc, Schema: s, Required: true}
}

// Template gives the path of a pattern as OpenAPI writes it.
func Template(pattern string) string {
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		if name, ok := cutParam(part); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}

func cutParam(part string) (string, bool) {
	if part == "" || part[0] != ':' && part[0] != '*' {
		return "", false
	}
	return part[1:], true
}

// Info is about the document as a whole.
type Info struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description,omitempty"`
}

// Document writes the document of the operations. It fails when two are the same, or one has no answer.
func Document(info Info, schemas *Schemas, operations []Operation) ([]byte, error) {
	paths := map[string]map[string]any{}
	for i := range operations {
		o := &operations[i]
		path, method := Template(o.Path), strings.ToLower(o.Method)
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		switch {
		case paths[path][method] != nil:
			return nil, fmt.Errorf("OpenAPI document: %s %s is there twice", o.Method, path)
		case len(o.Answers) == 0:
			return nil, fmt.Errorf("OpenAPI document: %s %s has no answer", o.Method, path)
		}
		paths[path][method] = o.document()
	}
	return json.MarshalIndent(map[string]any{
		"openapi": "3.1.0", "info": info, "paths": paths, "components": map[string]any{"schemas": schemas.defined},
	}, "", " ")
}

func (o *Operation) document() map[string]any {
	document := map[string]any{"summary": o.Summary, "operationId": operationID(o), "tags": []string{o.Tag}, "responses": o.responses()}
	if params := o.parameters(); len(params) > 0 {
		document["parameters"] = params
	}
	if o.Body != nil {
		document["requestBody"] = map[string]any{"required": !o.Body.Optional, "content": o.Body.Content.document()}
	}
	return document
}

// operationID makes a name of method and path.
func operationID(o *Operation) string {
	name := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}
	return strings.ToLower(o.Method) + strings.TrimRight(strings.Map(name, o.Path), "_")
}

func (o *Operation) parameters() []map[string]any {
	var list []map[string]any
	for _, p := range o.Params {
		list = append(list, p.document())
	}
	for part := range strings.SplitSeq(o.Path, "/") {
		if name, ok := cutParam(part); ok && !o.describes(name) {
			list = append(list, PathPart(name, "", Schema{"type": "string", "minLength": 1}).document())
		}
	}
	return list
}

func (o *Operation) describes(name string) bool {
	for _, p := range o.Params {
		if p.In == "path" && p.Name == name {
			return true
		}
	}
	return false
}

func (p Param) document() map[string]any {
	document := map[string]any{"name": p.Name, "in": p.In, "schema": p.Schema}
	if p.Doc != "" {
		document["description"] = p.Doc
	}
	if p.Required {
		document["required"] = true
	}
	return document
}

func (o *Operation) responses() map[string]any {
	responses := map[string]any{}
	for _, a := range o.Answers {
		status := "default"
		if a.Status != 0 {
			status = strconv.Itoa(a.Status)
		}
		response := map[string]any{"description": a.Doc}
		if a.Content != nil {
			response["content"] = a.Content.document()
		}
		responses[status] = response
	}
	return responses
}

func (c Content) document() map[string]any {
	document := map[string]any{}
	for mediaType, schema := range c {
		if schema == nil {
			schema = Schema{}
		}
		document[mediaType] = map[string]any{"schema": schema}
	}
	return document
}
