package pm

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// Difference is one difference of two documents.
type Difference struct {
	// Op is add, remove or replace.
	Op string `json:"op"`
	// Path leads to the value: classes[cart].function_bindings[add].timeout.
	Path string `json:"path"`
	// From and To are the values, null where there is none.
	From any `json:"from"`
	To   any `json:"to"`
}

// differ collects the differences of two plain JSON values.
type differ struct{ list []Difference }

func (d *differ) compare(path string, a, b any) {
	if reflect.DeepEqual(a, b) {
		return
	}
	x, y := fieldsOf(path, a), fieldsOf(path, b)
	if x == nil || y == nil {
		d.list = append(d.list, Difference{Op: "replace", Path: path, From: a, To: b})
		return
	}
	both := maps.Clone(x)
	maps.Copy(both, y)
	for _, at := range slices.Sorted(maps.Keys(both)) {
		from, was := x[at]
		to, is := y[at]
		switch {
		case was && is:
			d.compare(at, from, to)
		case was:
			d.list = append(d.list, Difference{Op: "remove", Path: at, From: from})
		default:
			d.list = append(d.list, Difference{Op: "add", Path: at, To: to})
		}
	}
}

// fieldsOf gives the parts of an object or list by their paths; nil for a value without parts.
func fieldsOf(path string, value any) map[string]any {
	parts := map[string]any{}
	switch v := value.(type) {
	case map[string]any:
		for key, part := range v {
			if path != "" {
				key = path + "." + key
			}
			parts[key] = part
		}
	case []any:
		for i, part := range v {
			at := fmt.Sprintf("%s[%s]", path, nameOf(part, i))
			if _, twice := parts[at]; twice {
				at = fmt.Sprintf("%s[%d]", path, i)
			}
			parts[at] = part
		}
	default:
		return nil
	}
	return parts
}

// nameOf gives what an element of a list is known by: its key or name, the text itself, or its place.
func nameOf(element any, i int) string {
	switch e := element.(type) {
	case map[string]any:
		for _, field := range []string{"key", "name"} {
			if name, ok := e[field].(string); ok && name != "" {
				return name
			}
		}
	case string:
		return e
	}
	return strconv.Itoa(i)
}
