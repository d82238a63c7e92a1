package opackage

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Limits of a document, so that anchors and aliases cannot make much of little.
const (
	maxDepth  = 64
	maxValues = 100_000
)

const (
	strTag   = "!!str"
	intTag   = "!!int"
	floatTag = "!!float"
	boolTag  = "!!bool"
	nullTag  = "!!null"
	timeTag  = "!!timestamp"
	mapTag   = "!!map"
	seqTag   = "!!seq"
	mergeTag = "!!merge"
)

// places maps the paths of values to where they stand in the text.
type places struct {
	file string
	at   map[string]place
}

// decoder fills the types of this package from a tree of nodes and collects what does not fit.
type decoder struct {
	collector
	scalarsAsText bool
	ignoreUnknown bool
	values        int
	at            map[string]place
}

func (d *decoder) decode(root *yaml.Node, into any) (*places, error) {
	d.at = make(map[string]place)
	if err := d.value(root, "", reflect.ValueOf(into).Elem(), 0); err != nil {
		return nil, err
	}
	if root = resolve(root); root.Kind == yaml.ScalarNode && root.ShortTag() == nullTag {
		d.problem(root, "", "the document is empty")
	}
	return &places{d.file, d.at}, d.err()
}

func (d *decoder) problem(n *yaml.Node, path, format string, args ...any) {
	d.add(Problem{Line: n.Line, Column: n.Column, Path: path, Message: fmt.Sprintf(format, args...)})
}

// value decodes one node. The error is not nil only when reading has to stop; everything else is collected.
func (d *decoder) value(n *yaml.Node, path string, into reflect.Value, depth int) error {
	if d.values++; d.values > maxValues {
		return d.stop(n, path, "the document has more than %d values, counting what aliases repeat", maxValues)
	}
	if depth > maxDepth {
		return d.stop(n, path, "the document is nested deeper than %d levels", maxDepth)
	}
	d.at[path] = place{n.Line, n.Column}
	n = resolve(n)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == nullTag {
		return nil
	}
	if !knownTag(n.ShortTag()) {
		d.problem(n, path, "the tag %s has no meaning here", quote(n.ShortTag()))
		return nil
	}
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	switch into.Kind() {
	case reflect.Struct:
		if at, ok := into.Addr().Interface().(*time.Time); ok {
			d.timestamp(n, path, at)
			return nil
		}
		return d.object(n, path, into, depth)
	case reflect.Slice:
		return d.list(n, path, into, depth)
	case reflect.Map:
		return d.mapping(n, path, into, depth)
	}
	d.scalar(n, path, into)
	return nil
}

func (d *decoder) stop(n *yaml.Node, path, format string, args ...any) error {
	d.problem(n, path, format, args...)
	return d.err()
}

func (d *decoder) list(n *yaml.Node, path string, into reflect.Value, depth int) error {
	if n.Kind != yaml.SequenceNode {
		d.problem(n, path, "must be a list, is %s", describe(n))
		return nil
	}
	list := reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content))
	for i, child := range n.Content {
		childPath := path + "[" + strconv.Itoa(i) + "]"
		if isNull(child) {
			d.problem(child, childPath, "must not be null")
			continue
		}
		if err := d.value(child, childPath, list.Index(i), depth+1); err != nil {
			return err
		}
	}
	into.Set(list)
	return nil
}

func (d *decoder) mapping(n *yaml.Node, path string, into reflect.Value, depth int) error {
	pairs, err := d.pairs(n, path, depth)
	if err != nil {
		return err
	}
	into.Set(reflect.MakeMapWithSize(into.Type(), len(pairs)))
	for _, pair := range pairs {
		childPath := keyPath(path, pair.key)
		if isNull(pair.value) {
			d.problem(pair.value, childPath, "must not be null; write \"\" for an empty value")
			continue
		}
		value := reflect.New(into.Type().Elem()).Elem()
		if err := d.value(pair.value, childPath, value, depth+1); err != nil {
			return err
		}
		into.SetMapIndex(reflect.ValueOf(pair.key), value)
	}
	return nil
}

func (d *decoder) object(n *yaml.Node, path string, into reflect.Value, depth int) error {
	pairs, err := d.pairs(n, path, depth)
	if err != nil || resolve(n).Kind != yaml.MappingNode {
		return err
	}
	shape := shapeOf(into.Type())
	given := make(map[string]bool, len(pairs))
	for _, pair := range pairs {
		childPath := keyPath(path, pair.key)
		field, known := shape.fields[pair.key]
		if !known {
			d.unknown(pair, childPath, shape)
			continue
		}
		given[pair.key] = !isNull(pair.value)
		if err := d.value(pair.value, childPath, into.Field(field), depth+1); err != nil {
			return err
		}
	}
	for _, name := range shape.required {
		if !given[name] {
			d.problem(n, path, "the key %q is missing", name)
		}
	}
	if value, ok := into.Addr().Interface().(defaulter); ok {
		value.setDefaults()
	}
	return nil
}

func (d *decoder) unknown(p pair, path string, shape *shape) {
	if d.ignoreUnknown {
		return
	}
	if d.full() {
		d.dropped++
		return
	}
	problem := Problem{Line: p.at.line, Column: p.at.column, Path: path, Message: "unknown key " + quote(p.key)}
	if problem.Suggestion = suggest(p.key, shape.names); problem.Suggestion == "" {
		problem.Message += "; known are " + strings.Join(shape.names, ", ")
	}
	d.add(problem)
}

// scalar decodes text, numbers and booleans.
func (d *decoder) scalar(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.problem(n, path, "must be %s, is %s", kindName(into.Kind()), describe(n))
		return
	}
	tag := n.ShortTag()
	switch into.Kind() {
	case reflect.String:
		if tag != strTag && !d.scalarsAsText {
			d.problem(n, path, "must be a string, is %s; write it in quotes", describe(n))
			return
		}
		into.SetString(n.Value)
	case reflect.Bool:
		d.boolean(n, path, into)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if tag != intTag && tag != floatTag || err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			d.problem(n, path, "must be a number, is %s", describe(n))
			return
		}
		into.SetFloat(f)
	default:
		u, err := strconv.ParseUint(n.Value, 10, into.Type().Bits())
		if tag != intTag || err != nil {
			d.problem(n, path, "must be a whole number from 0 to %d, is %s", uint64(math.MaxUint64)>>(64-into.Type().Bits()), describe(n))
			return
		}
		into.SetUint(u)
	}
}

func (d *decoder) boolean(n *yaml.Node, path string, into reflect.Value) {
	switch value := strings.ToLower(n.Value); {
	case n.ShortTag() == boolTag && (value == "true" || value == "false"):
		into.SetBool(value == "true")
	case d.scalarsAsText && slices.Contains([]string{"yes", "on", "y"}, value):
		d.add(Problem{Line: n.Line, Column: n.Column, Path: path, Message: "must be true or false, is " + describe(n), Suggestion: "true"})
	case d.scalarsAsText && slices.Contains([]string{"no", "off", "n"}, value):
		d.add(Problem{Line: n.Line, Column: n.Column, Path: path, Message: "must be true or false, is " + describe(n), Suggestion: "false"})
	default:
		d.problem(n, path, "must be true or false, is %s", describe(n))
	}
}

func (d *decoder) timestamp(n *yaml.Node, path string, into *time.Time) {
	at, err := time.Parse(time.RFC3339Nano, n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || at.Year() < 1 || at.Year() > 9998 {
		d.problem(n, path, "must be a time such as 2026-01-31T12:00:00Z, is %s", describe(n))
		return
	}
	*into = at.UTC()
}
