package opackage

import (
	"bytes"
	"encoding/json"
)

// The methods below exist because OaaS-RS writes empty lists and maps as [] and {}, never as null, and unset choices as their
// defaults; encoding/json would write nil slices as null and unset strings as "".

// MarshalJSON writes the package as OaaS-RS does.
func (p Package) MarshalJSON() ([]byte, error) {
	type plain Package
	p.Classes = orEmpty(p.Classes)
	p.Functions = orEmpty(p.Functions)
	p.Dependencies = orEmpty(p.Dependencies)
	p.Deployments = orEmpty(p.Deployments)
	return marshal(plain(p))
}

// MarshalJSON writes the metadata as OaaS-RS does.
func (m Metadata) MarshalJSON() ([]byte, error) {
	type plain Metadata
	m.Tags = orEmpty(m.Tags)
	m.CreatedAt, m.UpdatedAt = m.CreatedAt.UTC(), m.UpdatedAt.UTC()
	return marshal(plain(m))
}

// MarshalJSON writes the class as OaaS-RS does.
func (c Class) MarshalJSON() ([]byte, error) {
	type plain Class
	c.Bindings = orEmpty(c.Bindings)
	return marshal(plain(c))
}

// MarshalJSON writes the specification as OaaS-RS does.
func (s StateSpec) MarshalJSON() ([]byte, error) {
	type plain StateSpec
	s.setDefaults()
	return marshal(plain(s))
}

// MarshalJSON writes the binding as OaaS-RS does.
func (b Binding) MarshalJSON() ([]byte, error) {
	type plain Binding
	b.setDefaults()
	b.Parameters = orEmpty(b.Parameters)
	return marshal(plain(b))
}

// MarshalJSON writes the function as OaaS-RS does.
func (f Function) MarshalJSON() ([]byte, error) {
	type plain Function
	f.setDefaults()
	if f.Config == nil {
		f.Config = map[string]string{}
	}
	return marshal(plain(f))
}

// MarshalJSON writes the deployment as OaaS-RS does.
func (d Deployment) MarshalJSON() ([]byte, error) {
	type plain Deployment
	d.setDefaults()
	d.Functions = orEmpty(d.Functions)
	d.CreatedAt, d.UpdatedAt = d.CreatedAt.UTC(), d.UpdatedAt.UTC()
	return marshal(plain(d))
}

// defaulter is a type with choices whose absence means a value that is written out.
type defaulter interface{ setDefaults() }

func (s *StateSpec) setDefaults()  { orDefault(&s.ConsistencyModel, NoConsistency) }
func (b *Binding) setDefaults()    { orDefault(&b.AccessModifier, Public) }
func (f *Function) setDefaults()   { orDefault(&f.FunctionType, CustomFunction) }
func (d *Deployment) setDefaults() { orDefault(&d.Condition, Pending) }

func orDefault[T ~string](value *T, fallback T) {
	if *value == "" {
		*value = fallback
	}
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// marshal leaves <, > and & as they are, so that it is up to the outermost encoder whether they are escaped for HTML.
func marshal(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}
