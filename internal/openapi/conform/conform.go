// Package conform checks real answers against an OpenAPI document, for tests.
package conform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Checker knows a document.
type Checker struct {
	compiler *jsonschema.Compiler
	routes   []route

	mu      sync.Mutex
	schemas map[string]*jsonschema.Schema
	seen    map[string]bool
}

type route struct {
	path    string
	pattern *regexp.Regexp
	methods map[string]operation
}

type operation struct {
	OperationID string `json:"operationId"`
	Responses   map[string]struct {
		Content map[string]json.RawMessage
	}
}

const documentURL = "http://oaas.test/openapi.json"

// New reads a document.
func New(document []byte) (*Checker, error) {
	var paths struct {
		Paths map[string]map[string]operation
	}
	if err := json.Unmarshal(document, &paths); err != nil {
		return nil, err
	}
	c := &Checker{compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}, seen: map[string]bool{}}
	for path, methods := range paths.Paths {
		expression := "^" + regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$"
		pattern, err := regexp.Compile(expression)
		if err != nil {
			return nil, err
		}
		c.routes = append(c.routes, route{path, pattern, methods})
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, err
	}
	return c, c.compiler.AddResource(documentURL, parsed)
}

// ofServer are the statuses that every operation can have, and that say nothing about it: a wrong method, too long headers, a fault of the server.
var ofServer = map[int]bool{405: true, 431: true, 500: true}

// Check checks an answer: that its status is documented for the operation, with its media type, and that a body in JSON fits the schema. Requests that no
// operation of the document takes are not checked.
func (c *Checker) Check(method, path string, status int, contentType string, body []byte) error {
	r, o := c.find(strings.ToLower(method), path)
	if r == nil || ofServer[status] {
		return nil
	}
	key := strconv.Itoa(status)
	response, documented := o.Responses[key]
	if !documented {
		key = "default"
		if response, documented = o.Responses[key]; !documented {
			return fmt.Errorf("%s %s: status %d is not documented", method, r.path, status)
		}
	}
	c.mu.Lock()
	c.seen[o.OperationID+" "+key] = true
	c.mu.Unlock()
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil && len(body) == 0 {
		return nil
	}
	_, documented = response.Content[mediaType]
	if _, any := response.Content["*/*"]; any && !documented {
		return nil
	}
	if !documented {
		return fmt.Errorf("%s %s: the type %q of status %d is not documented", method, r.path, contentType, status)
	}
	if mediaType != "application/json" || len(body) == 0 {
		return nil
	}
	return c.validate(r, strings.ToLower(method), key, body)
}

func (c *Checker) find(method, path string) (*route, operation) {
	path, _, _ = strings.Cut(path, "?")
	var best *route
	for i := range c.routes {
		r := &c.routes[i]
		if _, has := r.methods[method]; has && r.pattern.MatchString(path) && (best == nil || strings.Count(r.path, "{") < strings.Count(best.path, "{")) {
			best = r
		}
	}
	if best == nil {
		return nil, operation{}
	}
	return best, best.methods[method]
}

func (c *Checker) validate(r *route, method, key string, body []byte) error {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	at := documentURL + "#/paths/" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(escape.Replace(r.path)) + "/" + method + "/responses/" + key + "/content/application~1json/schema"
	c.mu.Lock()
	defer c.mu.Unlock()
	schema := c.schemas[at]
	if schema == nil {
		var err error
		if schema, err = c.compiler.Compile(at); err != nil {
			return fmt.Errorf("schema of %s %s %s: %w", method, r.path, key, err)
		}
		c.schemas[at] = schema
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, r.path, err)
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("%s %s %s: %w\n%s", method, r.path, key, err, body)
	}
	return nil
}

// Unseen gives the answers of success that no checked answer had, as "operation status".
func (c *Checker) Unseen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	for _, r := range c.routes {
		for _, o := range r.methods {
			for status := range o.Responses {
				if name := o.OperationID + " " + status; status[0] == '2' && !c.seen[name] {
					list = append(list, name)
				}
			}
		}
	}
	return list
}
