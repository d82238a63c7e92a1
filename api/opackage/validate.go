package opackage

import (
	"fmt"
	"slices"
	"strings"
)

// ValidateOption changes what Validate looks at.
type ValidateOption func(*validator)

// WithCondition has compile look at the condition of every trigger. This package knows no expressions itself.
func WithCondition(compile func(expression string) error) ValidateOption {
	return func(v *validator) { v.compile = compile }
}

// WithAbsoluteSource allows functions a source that is an absolute path, for documents that come without a folder.
func WithAbsoluteSource() ValidateOption { return func(v *validator) { v.absoluteSource = true } }

// Validate checks everything that can be known from the document alone and gives all that is wrong, as [ValidationErrors], or nil.
// Problems carry their position if the document was parsed, which is wrong where the document was changed since.
//
// A document that has deployments but no classes is one for packages that are registered already; its class keys are not checked.
func (p *Package) Validate(opts ...ValidateOption) error {
	v := newValidator(p)
	for _, opt := range opts {
		opt(v)
	}
	if p.places != nil {
		v.file = p.places.file
	}
	v.pkg()
	return v.err()
}

// validator collects what is wrong with one package. Its indexes keep the time linear in the size of the document.
type validator struct {
	collector
	p       *Package
	compile func(string) error
	// absoluteSource allows absolute paths of source folders.
	absoluteSource bool
	classes        map[string]*Class
	functions      map[string]*Function
	methods        map[*Class]map[string]*Binding
	partitions     map[string]uint32 // of a class key, the most partitions that one of its deployments has
}

func newValidator(p *Package) *validator {
	v := &validator{
		p: p, compile: func(string) error { return nil },
		classes: map[string]*Class{}, functions: map[string]*Function{},
		methods: map[*Class]map[string]*Binding{}, partitions: map[string]uint32{},
	}
	for i := range p.Classes {
		c := &p.Classes[i]
		v.classes[c.Key] = c
		v.methods[c] = make(map[string]*Binding, len(c.Bindings))
		for j := range c.Bindings {
			v.methods[c][c.Bindings[j].Name] = &c.Bindings[j]
		}
		if len(p.Deployments) == 0 {
			v.partitions[c.Key] = 1
		}
	}
	for i := range p.Functions {
		v.functions[p.Functions[i].Key] = &p.Functions[i]
	}
	for _, d := range p.Deployments {
		count := uint32(1)
		if d.Odgm != nil && d.Odgm.PartitionCount != nil {
			count = *d.Odgm.PartitionCount
		}
		v.partitions[d.ClassKey] = max(v.partitions[d.ClassKey], count)
	}
	return v
}

// fail reports a problem at a path.
func (v *validator) fail(path, format string, args ...any) {
	v.report(path, "", fmt.Sprintf(format, args...))
}

// check reports why, which is "" when all is well.
func (v *validator) check(path, why string) {
	if why != "" {
		v.report(path, "", why)
	}
}

func (v *validator) report(path, suggestion, message string) {
	at := v.place(path)
	v.add(Problem{Line: at.line, Column: at.column, Path: path, Message: message, Suggestion: suggestion})
}

// place finds the position of a path, or of the nearest value around it.
func (v *validator) place(path string) place {
	if v.p.places == nil {
		return place{}
	}
	for {
		if at, ok := v.p.places.at[path]; ok || path == "" {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// unique reports a value that was there before.
func (v *validator) unique(seen map[string]string, path, kind, value string) {
	if value == "" {
		return
	}
	if first, there := seen[value]; there {
		v.fail(path, "the %s %s is there twice, first at %s", kind, quote(value), first)
		return
	}
	seen[value] = path
}

// choice reports a value that is none of the allowed ones; "" stands for the default.
func choice[T ~string](v *validator, path string, value T, allowed ...T) {
	if value == "" || slices.Contains(allowed, value) {
		return
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	v.unknown(path, string(value), func() []string { return words }, "%s is not one of %s", quote(string(value)), strings.Join(words, ", "))
}

func (v *validator) pkg() {
	p := v.p
	v.check("name", checkName(p.Name, true))
	for i, name := range p.Dependencies {
		path := index("dependencies", i)
		v.check(path, checkName(name, true))
		if name == p.Name && name != "" {
			v.fail(path, "the package depends on itself")
		}
	}
	classes, functions, deployments := map[string]string{}, map[string]string{}, map[string]string{}
	for i := range p.Classes {
		path := index("classes", i)
		v.unique(classes, path+".key", "class", p.Classes[i].Key)
		v.class(path, &p.Classes[i])
	}
	for i := range p.Functions {
		path := index("functions", i)
		v.unique(functions, path+".key", "function", p.Functions[i].Key)
		v.function(path, &p.Functions[i])
	}
	for i := range p.Deployments {
		path := index("deployments", i)
		v.unique(deployments, path+".key", "deployment", p.Deployments[i].Key)
		v.deployment(path, &p.Deployments[i])
	}
}

func (v *validator) options(path string, options map[string]string) {
	for _, name := range sortedKeys(options) {
		at := keyPath(path, name)
		check, known := optionChecks[name]
		if !known {
			v.unknown(at, name, KnownOptions, "unknown option %s", quote(name))
			continue
		}
		v.check(at, check(options[name]))
	}
}

func (v *validator) functionKey(path, key string) {
	switch {
	case key == "":
		v.fail(path, "must not be empty")
	case v.functions[key] == nil:
		v.unknown(path, key, names(v.p.Functions, func(f *Function) string { return f.Key }),
			"the package has no function %s", quote(key))
	}
}

func (v *validator) methodOf(path string, c *Class, name string) {
	switch {
	case name == "":
		v.fail(path, "must not be empty")
	case v.methods[c][name] == nil:
		v.unknown(path, name, names(c.Bindings, func(b *Binding) string { return b.Name }),
			"the class %s has no method %s", quote(c.Key), quote(name))
	}
}

// unknown reports a word that is not among the known ones. What was meant is looked for only while problems are still listed.
func (v *validator) unknown(path, word string, known func() []string, format string, args ...any) {
	suggestion := ""
	if !v.full() {
		suggestion = suggest(word, known())
	}
	v.report(path, suggestion, fmt.Sprintf(format, args...))
}

// names gives a function that lists the names of some things.
func names[T any](things []T, name func(*T) string) func() []string {
	return func() []string {
		list := make([]string, len(things))
		for i := range things {
			list[i] = name(&things[i])
		}
		return list
	}
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
