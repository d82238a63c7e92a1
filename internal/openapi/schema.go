package openapi

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Schemas are the schemas of a document that have names: those of the structs in it.
type Schemas struct {
	defined map[string]Schema
	types   map[string]reflect.Type
	enums   map[reflect.Type][]any
}

// NewSchemas makes an empty set.
func NewSchemas() *Schemas {
	return &Schemas{defined: map[string]Schema{}, types: map[string]reflect.Type{}, enums: map[reflect.Type][]any{}}
}

// Enum says which values a type of text has.
func Enum[T ~string](s *Schemas, values ...T) {
	for _, v := range values {
		s.enums[reflect.TypeFor[T]()] = append(s.enums[reflect.TypeFor[T]()], string(v))
	}
}

// Of gives the schema of what encoding/json writes for a T. Lists and maps are taken to be written as [] and {} when they are empty.
func Of[T any](s *Schemas) Schema { return s.of(reflect.TypeFor[T]()) }

// Relaxed gives the schema of what is read as a T: nothing is required but the fields whose tag key says so, and null stands for what is left out.
func Relaxed[T any](s *Schemas) Schema {
	r := &relaxed{s}
	return r.of(reflect.TypeFor[T]())
}

func (s *Schemas) of(t reflect.Type) Schema {
	if t == reflect.TypeFor[time.Time]() {
		return Schema{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return Schema{"anyOf": []any{s.of(t.Elem()), Schema{"type": "null"}}}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return Schema{"type": "string", "contentEncoding": "base64"}
		}
		return Schema{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return Schema{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.named(t)
	case reflect.Interface:
		return Schema{}
	}
	return s.scalar(t)
}

func (s *Schemas) scalar(t reflect.Type) Schema {
	switch t.Kind() {
	case reflect.String:
		if values := s.enums[t]; values != nil {
			return Schema{"type": "string", "enum": values}
		}
		return Schema{"type": "string"}
	case reflect.Bool:
		return Schema{"type": "boolean"}
	case reflect.Float64:
		return Schema{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Int32:
		return Schema{"type": "integer"}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return Schema{"type": "integer", "minimum": 0, "maximum": uint64(1)<<t.Bits() - 1}
	case reflect.Uint, reflect.Uint64:
		return Schema{"type": "integer", "minimum": 0}
	}
	panic(fmt.Sprintf("openapi: no schema for %s", t)) // a programming error that every test of a document finds
}

// named defines a struct once and refers to it.
func (s *Schemas) named(t reflect.Type) Schema {
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if known := s.types[name]; known != nil && known != t {
		name = strings.ToUpper(strings.ReplaceAll(t.String(), ".", "_"))
	}
	ref := Schema{"$ref": "#/components/schemas/" + name}
	if s.types[name] != nil {
		return ref
	}
	s.types[name] = t
	properties, required := map[string]any{}, []string{}
	for _, f := range fields(t) {
		properties[f.name] = s.of(f.Type)
		if !f.optional {
			required = append(required, f.name)
		}
	}
	s.defined[name] = Schema{"type": "object", "properties": properties, "required": required}
	return ref
}

type field struct {
	reflect.StructField
	name     string
	optional bool
}

// fields gives those that are written.
func fields(t reflect.Type) []field {
	var list []field
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" || name == "" {
			continue
		}
		list = append(list, field{f, name, strings.Contains(options, "omit")})
	}
	return list
}

// relaxed makes schemas of what is read, in place.
type relaxed struct{ s *Schemas }

func (r *relaxed) of(t reflect.Type) Schema {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return r.s.of(t)
	case t.Kind() == reflect.Pointer:
		return r.of(t.Elem())
	case t.Kind() == reflect.Slice:
		return Schema{"type": "array", "items": r.of(t.Elem())}
	case t.Kind() == reflect.Map:
		return Schema{"type": "object", "additionalProperties": r.of(t.Elem())}
	case t.Kind() != reflect.Struct:
		return r.s.scalar(t)
	}
	properties, required := map[string]any{}, []string{}
	for _, f := range fields(t) {
		property := r.of(f.Type)
		if f.Tag.Get("key") == "required" {
			required = append(required, f.name)
		} else {
			property = Schema{"anyOf": []any{property, Schema{"type": "null"}}}
		}
		properties[f.name] = property
	}
	return Schema{"type": "object", "properties": properties, "required": required}
}
