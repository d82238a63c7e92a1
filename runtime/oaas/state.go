package oaas

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/hpcclab/oaas-go/api/function"
)

// plan says which entries the fields of a struct are.
type plan struct {
	kind     reflect.Type
	exact    []*field
	prefixes []*field // longest first, so that the first match is the right one
	byKey    map[string]*field
}

// field is one entry, or all entries with a prefix.
type field struct {
	name     string
	index    []int
	kind     reflect.Type // of the value: of the map's elements for a prefix
	key      string       // the prefix without *
	prefix   bool
	raw      bool
	omitzero bool
}

// plans keeps the plan of every type that was looked at.
var plans sync.Map // reflect.Type → *plan

func planOf[T any]() (*plan, error) { return planFor(reflect.TypeFor[T]()) }

func planFor(kind reflect.Type) (*plan, error) {
	if known, ok := plans.Load(kind); ok {
		return known.(*plan), nil
	}
	if kind.Kind() != reflect.Struct {
		return nil, fmt.Errorf("the state is a %v; it must be a struct", kind)
	}
	p := &plan{kind: kind, byKey: map[string]*field{}}
	if err := p.addFields(kind, nil); err != nil {
		return nil, err
	}
	slices.SortFunc(p.prefixes, func(a, b *field) int { return cmp.Compare(len(b.key), len(a.key)) })
	plans.Store(kind, p)
	return p, nil
}

func (p *plan) addFields(kind reflect.Type, at []int) error {
	for i := range kind.NumField() {
		f := kind.Field(i)
		index := append(slices.Clone(at), i)
		tag, tagged := f.Tag.Lookup("oaas")
		if f.Anonymous && !tagged && f.Type.Kind() == reflect.Struct {
			if err := p.addFields(f.Type, index); err != nil {
				return err
			}
			continue
		}
		if !tagged || tag == "-" {
			continue
		}
		if !f.IsExported() {
			return fmt.Errorf("field %s has the tag %q but is not exported", f.Name, tag)
		}
		made, err := newField(f, tag)
		if err != nil {
			return fmt.Errorf("field %s: tag %q: %w", f.Name, tag, err)
		}
		made.index = index
		if err := p.add(made); err != nil {
			return err
		}
	}
	return nil
}

func newField(f reflect.StructField, tag string) (*field, error) {
	key, options, _ := strings.Cut(tag, ",")
	made := &field{name: f.Name, kind: f.Type}
	made.key, made.prefix = strings.CutSuffix(key, "*")
	if !made.prefix || made.key != "" {
		normal, err := function.NormalizeKey(made.key, 0)
		if err != nil {
			return nil, err
		}
		if normal != made.key {
			return nil, fmt.Errorf("keys are lower case: %q", normal)
		}
	}
	if made.prefix {
		if f.Type.Kind() != reflect.Map || f.Type.Key().Kind() != reflect.String {
			return nil, fmt.Errorf("a prefix needs a map with string keys, not %v", f.Type)
		}
		made.kind = f.Type.Elem()
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "":
		case "raw":
			made.raw = true
		case "omitzero":
			made.omitzero = true
		default:
			return nil, fmt.Errorf("unknown option %q; raw and omitzero are known", option)
		}
	}
	if made.raw && made.kind.Kind() != reflect.String && !isBytes(made.kind) {
		return nil, fmt.Errorf("raw needs []byte or string, not %v", made.kind)
	}
	return made, nil
}

func isBytes(kind reflect.Type) bool {
	return kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Uint8
}

func (p *plan) add(f *field) error {
	name := f.key
	if f.prefix {
		name += "*"
		p.prefixes = append(p.prefixes, f)
	} else {
		p.exact = append(p.exact, f)
	}
	if other, twice := p.byKey[name]; twice {
		return fmt.Errorf("fields %s and %s are both the entry %q", other.name, f.name, name)
	}
	p.byKey[name] = f
	return nil
}

// find gives the field that an entry belongs to, or nil.
func (p *plan) find(key string) *field {
	if f, ok := p.byKey[key]; ok && !f.prefix {
		return f
	}
	for _, f := range p.prefixes {
		if strings.HasPrefix(key, f.key) {
			return f
		}
	}
	return nil
}

// load fills the struct from entries; those that belong to no field are left alone.
func (p *plan) load(self reflect.Value, entries []function.Entry) error {
	for i := range entries {
		e := &entries[i]
		f := p.find(e.Key)
		if f == nil {
			continue
		}
		target := self.FieldByIndex(f.index)
		if !f.prefix {
			if err := f.decode(target, e.Data); err != nil {
				return fmt.Errorf("entry %q does not fit field %s (%v): %w", e.Key, f.name, f.kind, err)
			}
			continue
		}
		value := reflect.New(f.kind).Elem()
		if err := f.decode(value, e.Data); err != nil {
			return fmt.Errorf("entry %q does not fit field %s (%v): %w", e.Key, f.name, target.Type(), err)
		}
		if target.IsNil() {
			target.Set(reflect.MakeMap(target.Type()))
		}
		target.SetMapIndex(reflect.ValueOf(e.Key[len(f.key):]).Convert(target.Type().Key()), value)
	}
	return nil
}

// decode fills target, which can be set, from the bytes of an entry. It copies them.
func (f *field) decode(target reflect.Value, data []byte) error {
	switch {
	case f.raw && f.kind.Kind() == reflect.String:
		target.SetString(string(data))
		return nil
	case f.raw:
		target.SetBytes(append(make([]byte, 0, len(data)), data...))
		return nil
	}
	return json.Unmarshal(data, target.Addr().Interface())
}

// encode gives the bytes of an entry; absent is true when the value stands for no entry.
func (f *field) encode(value reflect.Value) (data []byte, absent bool, err error) {
	switch value.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		if value.IsNil() {
			return nil, true, nil
		}
	}
	switch {
	case f.omitzero && value.IsZero():
		return nil, true, nil
	case f.raw && f.kind.Kind() == reflect.String:
		return []byte(value.String()), false, nil
	case f.raw:
		return value.Bytes(), false, nil
	}
	data, err = encodeJSON(value.Interface())
	return data, false, err
}

// changes compares the struct with the entries that it was loaded from, and puts what differs into the reply.
func (p *plan) changes(self reflect.Value, call *function.Call, reply *function.Reply) error {
	for _, f := range p.exact {
		before, existed := call.Entry(f.key)
		value := self.FieldByIndex(f.index)
		if !existed && value.IsZero() {
			continue
		}
		if err := f.change(reply, f.key, value, before, existed); err != nil {
			return err
		}
	}
	for _, f := range p.prefixes {
		if err := p.prefixChanges(f, self.FieldByIndex(f.index), call, reply); err != nil {
			return err
		}
	}
	slices.SortFunc(reply.Set, func(a, b function.Entry) int { return cmp.Compare(a.Key, b.Key) })
	slices.Sort(reply.Delete)
	return nil
}

func (p *plan) prefixChanges(f *field, values reflect.Value, call *function.Call, reply *function.Reply) error {
	for keys := values.MapRange(); keys.Next(); {
		key, err := function.NormalizeKey(f.key+keys.Key().String(), 0)
		if err != nil {
			return fmt.Errorf("field %s: %w", f.name, err)
		}
		if owner := p.find(key); owner != f {
			return fmt.Errorf("field %s: the entry %q belongs to field %s", f.name, key, owner.name)
		}
		before, existed := call.Entry(key)
		if err := f.change(reply, key, keys.Value(), before, existed); err != nil {
			return err
		}
	}
	rest := reflect.New(values.Type().Key()).Elem()
	for i := range call.Entries {
		key := call.Entries[i].Key
		if p.find(key) != f {
			continue
		}
		rest.SetString(key[len(f.key):])
		if !values.MapIndex(rest).IsValid() {
			reply.Delete = append(reply.Delete, key)
		}
	}
	return nil
}

// change adds one entry to the reply if its value is not the one before.
func (f *field) change(reply *function.Reply, key string, value reflect.Value, before function.Value, existed bool) error {
	data, absent, err := f.encode(value)
	switch {
	case err != nil:
		return fmt.Errorf("entry %q: encode field %s: %w", key, f.name, err)
	case absent && existed:
		reply.Delete = append(reply.Delete, key)
	case absent, existed && f.equal(data, before.Data):
	default:
		reply.Set = append(reply.Set, function.Entry{Key: key, Value: function.Value{Data: data, Type: before.Type}})
	}
	return nil
}

// equal compares with what was stored, which another writer may have spelled differently: spaces in JSON are no change.
func (f *field) equal(data, before []byte) bool {
	if f.raw || bytes.Equal(data, before) {
		return bytes.Equal(data, before)
	}
	value := reflect.New(f.kind).Elem()
	if f.decode(value, before) != nil {
		return false
	}
	again, absent, err := f.encode(value)
	return err == nil && !absent && bytes.Equal(data, again)
}

// bind makes a method of a class from one of its struct.
func (p *plan) bind(readonly bool, run func(any, Context, Payload) (Payload, error)) func(Context, *function.Call) (*function.Reply, error) {
	return func(ctx Context, call *function.Call) (*function.Reply, error) {
		self := reflect.New(p.kind)
		if err := p.load(self.Elem(), call.Entries); err != nil {
			return nil, err
		}
		result, err := run(self.Interface(), ctx, Payload{Data: call.Payload, ContentType: call.ContentType})
		if err != nil {
			return nil, err
		}
		reply := &function.Reply{Payload: result.Data, ContentType: result.ContentType}
		if err := p.changes(self.Elem(), call, reply); err != nil {
			return nil, err
		}
		return reply, nil
	}
}

// warm makes encoding/json learn the types of the fields.
func (p *plan) warm() {
	self := reflect.New(p.kind).Elem()
	for _, f := range p.exact {
		if !f.raw {
			_, _, _ = f.encode(self.FieldByIndex(f.index))
			_ = json.Unmarshal([]byte("null"), self.FieldByIndex(f.index).Addr().Interface())
		}
	}
}
