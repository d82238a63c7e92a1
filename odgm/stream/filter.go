package stream

import (
	"slices"
	"strings"

	"github.com/hpcclab/oaas-go/api/fault"
)

// Any as a Filter's partition means all partitions of the class.
const Any = -1

// SlowPolicy says what becomes of a stream whose reader falls behind what is kept in memory.
type SlowPolicy int

// The policies.
const (
	CatchUp    SlowPolicy = iota // it reads the log, as far as changes are kept there
	Drop                         // it goes on with the newest, after a Gap
	Disconnect                   // it ends with ErrSlow
)

// Filter says what a stream gives. Of a change only the parts that match are given. Entries and Methods with nothing in them match all, unless only
// the other one has something: who names methods alone wants no entries, and the other way round.
type Filter struct {
	Class string
	// Partition is a number, or Any.
	Partition int
	// Object is an id; empty for all objects.
	Object string
	// Entries are keys, and Methods names of methods; each may be a prefix that ends with '*'.
	Entries, Methods []string
	// Actions are Created, Updated, Deleted, Completed and Failed; empty for all.
	Actions []string
	Slow    SlowPolicy
}

// maxPatterns bounds each list of a filter.
const maxPatterns = 100

func (f *Filter) check() error {
	all := []string{Created, Updated, Deleted, Completed, Failed}
	for _, action := range f.Actions {
		if !slices.Contains(all, action) {
			return fault.New(fault.InvalidArgument, "action %q is not one of %s", action, strings.Join(all, ", "))
		}
	}
	for what, patterns := range map[string][]string{"entry": f.Entries, "method": f.Methods, "action": f.Actions} {
		if len(patterns) > maxPatterns {
			return fault.New(fault.InvalidArgument, "%d values of %s; at most %d are allowed", len(patterns), what, maxPatterns)
		}
		for _, p := range patterns {
			if p == "" || strings.Contains(p[:len(p)-1], "*") {
				return fault.New(fault.InvalidArgument, "%s %q is neither a name nor a prefix that ends with *", what, p)
			}
		}
	}
	return nil
}

// narrow gives the change with only what matches, nil if nothing does.
func (f *Filter) narrow(c *Change) *Change {
	if f.Object != "" && f.Object != c.Object {
		return nil
	}
	if len(f.Entries)+len(f.Methods)+len(f.Actions) == 0 {
		return c
	}
	kept := 0
	for i := range c.Entries {
		if f.wantsEntry(&c.Entries[i]) {
			kept++
		}
	}
	method := c.Method != nil && f.wants(f.Methods, f.Entries, c.Method.Name, c.Method.Action)
	switch {
	case kept == 0 && !method:
		return nil
	case kept == len(c.Entries) && method == (c.Method != nil):
		return c
	}
	narrow := &Change{Class: c.Class, Partition: c.Partition, Seq: c.Seq, Object: c.Object, Version: c.Version, Time: c.Time}
	if method {
		narrow.Method = c.Method
	}
	for i := range c.Entries {
		if f.wantsEntry(&c.Entries[i]) {
			narrow.Entries = append(narrow.Entries, c.Entries[i])
		}
	}
	return narrow
}

func (f *Filter) wantsEntry(e *EntryChange) bool {
	return f.wants(f.Entries, f.Methods, e.Key, e.Action)
}

// wants looks at an entry or a method, whose patterns are own; others are those of the other kind.
func (f *Filter) wants(own, others []string, name, action string) bool {
	if len(f.Actions) > 0 && !slices.Contains(f.Actions, action) {
		return false
	}
	if len(own) == 0 {
		return len(others) == 0
	}
	return slices.ContainsFunc(own, func(pattern string) bool {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return pattern == name
	})
}
