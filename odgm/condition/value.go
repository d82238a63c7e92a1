package condition

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// variables gives CEL the names of an input. Values are parsed when the expression first asks for them, and once.
type variables struct {
	in       *Input
	old, new ref.Val
}

var _ cel.Activation = (*variables)(nil)

// Parent says that there are no other names.
func (*variables) Parent() cel.Activation { return nil }

// ResolveName gives the value of a variable.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case "old":
		if v.old == nil {
			v.old = value(v.in.Old, v.in.HasOld)
		}
		return v.old, true
	case "new":
		if v.new == nil {
			v.new = value(v.in.New, v.in.HasNew)
		}
		return v.new, true
	case "key":
		return types.String(v.in.Key), true
	case "object":
		return types.String(v.in.Object), true
	case "method":
		return types.String(v.in.Method), true
	case "version":
		return types.Int(min(v.in.Version, math.MaxInt64)), true
	}
	return nil, false
}

// value reads the bytes of an entry.
func value(data []byte, present bool) ref.Val {
	switch {
	case !present:
		return types.NullValue
	case len(data) > MaxValueSize:
		return types.NewErr("value of %d bytes exceeds the limit of %d bytes for conditions", len(data), MaxValueSize)
	case !utf8.Valid(data):
		return types.Bytes(data)
	}
	var parsed any
	if json.Unmarshal(data, &parsed) != nil {
		return types.String(data)
	}
	return fromJSON(parsed)
}

// fromJSON turns what encoding/json made into CEL values, in depth, so that nothing is converted again each time it is looked at.
func fromJSON(parsed any) ref.Val {
	switch v := parsed.(type) {
	case nil:
		return types.NullValue
	case bool:
		return types.Bool(v)
	case float64:
		return types.Double(v)
	case string:
		return types.String(v)
	case []any:
		list := make([]ref.Val, len(v))
		for i := range v {
			list[i] = fromJSON(v[i])
		}
		return types.NewRefValList(types.DefaultTypeAdapter, list)
	case map[string]any:
		for key := range v {
			v[key] = fromJSON(v[key])
		}
		return &sortedMap{Mapper: types.NewStringInterfaceMap(types.DefaultTypeAdapter, v), entries: v}
	}
	return types.NewErr("unsupported JSON value")
}

// sortedMap is a map that is walked in the order of its keys; CEL's own are walked in Go's random order.
type sortedMap struct {
	traits.Mapper
	entries map[string]any // every value is a ref.Val
	keys    []string
}

// Iterator walks the keys in ascending order.
func (m *sortedMap) Iterator() traits.Iterator {
	if m.keys == nil {
		m.keys = slices.Sorted(maps.Keys(m.entries))
	}
	return types.NewStringList(types.DefaultTypeAdapter, m.keys).Iterator()
}
