package opackage

import (
	"reflect"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// pair is a key of a mapping with its value, after aliases and merges.
type pair struct {
	key   string
	at    place
	value *yaml.Node
}

// pairs gives the keys and values of a mapping, in the order of the text, those of merged mappings (<<) last. Problems are collected.
func (d *decoder) pairs(n *yaml.Node, path string, depth int) ([]pair, error) {
	if n.Kind != yaml.MappingNode {
		d.problem(n, path, "must be a mapping of keys to values, is %s", describe(n))
		return nil, nil
	}
	m := merge{seen: make(map[string]place)}
	return m.pairs, d.merge(&m, n, path, depth)
}

// merge is the state of reading one mapping with all that is merged into it.
type merge struct {
	pairs []pair
	seen  map[string]place
}

// merge adds the pairs of n that are not there yet, then those of the mappings that n merges.
func (d *decoder) merge(m *merge, n *yaml.Node, path string, depth int) error {
	if depth > maxDepth {
		return d.stop(n, path, "the document is nested deeper than %d levels", maxDepth)
	}
	own := make(map[string]bool, len(n.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if d.values++; d.values > maxValues {
			return d.stop(n, path, "the document has more than %d values, counting what aliases repeat", maxValues)
		}
		key, value := resolve(n.Content[i]), n.Content[i+1]
		at := place{n.Content[i].Line, n.Content[i].Column}
		switch {
		case key.Kind != yaml.ScalarNode:
			d.problem(n.Content[i], path, "a key must be text, is %s", describe(key))
		case key.ShortTag() == mergeTag:
			merged = append(merged, value)
		case own[key.Value]:
			d.problem(n.Content[i], keyPath(path, key.Value), "the key %s is there twice, first in line %d", quote(key.Value), m.seen[key.Value].line)
		default:
			own[key.Value] = true
			if _, there := m.seen[key.Value]; !there {
				m.seen[key.Value] = at
				m.pairs = append(m.pairs, pair{key.Value, at, value})
			}
		}
	}
	for _, value := range merged {
		if err := d.mergeValue(m, value, path, depth); err != nil {
			return err
		}
	}
	return nil
}

// mergeValue merges the value of a << key: one mapping, or a list of them of which the first has precedence.
func (d *decoder) mergeValue(m *merge, value *yaml.Node, path string, depth int) error {
	sources := []*yaml.Node{value}
	if list := resolve(value); list.Kind == yaml.SequenceNode {
		sources = list.Content
	}
	for _, source := range sources {
		mapping := resolve(source)
		if mapping.Kind != yaml.MappingNode {
			d.problem(source, path, "only mappings can be merged with <<, not %s", describe(mapping))
			continue
		}
		if err := d.merge(m, mapping, path, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// resolve follows an alias; the YAML parser never makes an alias of an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	n = resolve(n)
	return n.Kind == yaml.ScalarNode && n.ShortTag() == nullTag
}

func knownTag(tag string) bool {
	switch tag {
	case strTag, intTag, floatTag, boolTag, nullTag, timeTag, mapTag, seqTag:
		return true
	}
	return false
}

// describe names a node's value in a message.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case nullTag:
		return "null"
	case strTag:
		return "the string " + quote(n.Value)
	}
	return quote(n.Value)
}

func kindName(kind reflect.Kind) string {
	switch kind {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	}
	return "a number"
}

// keyPath adds a key to a path, in brackets when it would not read as one word.
func keyPath(path, key string) string {
	plain := key != "" && len(key) <= maxName && strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
	switch {
	case !plain:
		return path + "[" + quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// shape is what the decoder has to know of a struct.
type shape struct {
	fields   map[string]int
	names    []string
	required []string
}

var shapes sync.Map // of reflect.Type to *shape

func shapeOf(t reflect.Type) *shape {
	if known, ok := shapes.Load(t); ok {
		return known.(*shape)
	}
	s := &shape{fields: make(map[string]int)}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || !field.IsExported() {
			continue
		}
		s.fields[name] = i
		s.names = append(s.names, name)
		if field.Tag.Get("key") == "required" {
			s.required = append(s.required, name)
		}
	}
	shapes.Store(t, s)
	return s
}
