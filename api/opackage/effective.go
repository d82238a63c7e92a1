package opackage

import (
	"maps"
	"strings"
	"time"
)

// DefaultTimeout is how long a call of a method may take when its binding does not say.
const DefaultTimeout = 30 * time.Second

// ClassName gives the name by which callers and the data plane know a class: <package>.<class key>.
func (p *Package) ClassName(key string) string { return p.Name + "." + key }

// SplitClassName gives the package and the class key of a class name, which are separated by its last dot.
func SplitClassName(name string) (pkg, class string, ok bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 || dot == len(name)-1 {
		return "", "", false
	}
	return name[:dot], name[dot+1:], true
}

// Class gives the class of that key, or nil.
func (p *Package) Class(key string) *Class {
	for i := range p.Classes {
		if p.Classes[i].Key == key {
			return &p.Classes[i]
		}
	}
	return nil
}

// Function gives the function of that key, or nil.
func (p *Package) Function(key string) *Function {
	for i := range p.Functions {
		if p.Functions[i].Key == key {
			return &p.Functions[i]
		}
	}
	return nil
}

// Binding gives the method of that name, or nil.
func (c *Class) Binding(name string) *Binding {
	for i := range c.Bindings {
		if c.Bindings[i].Name == name {
			return &c.Bindings[i]
		}
	}
	return nil
}

// IsWasm says whether the function is a WebAssembly module, which runs in the process of the shard.
func (f *Function) IsWasm() bool {
	return f.Runtime == WasmRuntime || f.Provision != nil && f.Provision.WasmModuleURL != nil
}

// MemoryLimit gives memory_limit in bytes, 0 if there is none.
func (f *Function) MemoryLimit() uint64 {
	if f.Provision == nil || f.Provision.MemoryLimit == nil {
		return 0
	}
	bytes, _ := quantity(*f.Provision.MemoryLimit)
	return uint64(bytes)
}

// Persistent says whether the class asks for its objects to be kept on disk.
func (c *Class) Persistent() bool { return c.StateSpec != nil && c.StateSpec.Persistent }

// IsReadonly says whether the method may change nothing, in either spelling.
func (b *Binding) IsReadonly() bool { return b.Readonly || b.Immutable }

// grpcScheme is that of the URLs of function containers.
const grpcScheme = "grpc"

// EffectiveContract gives how the function is called: as it says, else gRPC for a grpc:// URL or if it needs HTTP/2, as functions of OaaS-RS do.
func (f *Function) EffectiveContract() Contract {
	switch {
	case f.Contract != "":
		return f.Contract
	case strings.HasPrefix(f.URL, grpcScheme+"://"), f.Provision != nil && f.Provision.NeedHTTP2:
		return GRPCContract
	}
	return HTTPContract
}

// NeedsHTTP2 reports whether the function is called over HTTP/2.
func (f *Function) NeedsHTTP2() bool {
	return f.EffectiveContract() == GRPCContract || f.Provision != nil && f.Provision.NeedHTTP2
}

// EffectiveTimeout is how long a call of the method may take.
func (b *Binding) EffectiveTimeout() time.Duration {
	if d, err := time.ParseDuration(b.Timeout); err == nil && d > 0 {
		return d
	}
	return DefaultTimeout
}

// EffectiveState gives the selectors of the entries that travel with a call, in lower case as keys are stored: ["*"] unless the
// binding says otherwise, none for a stateless method.
func (b *Binding) EffectiveState() []string {
	if b.Stateless {
		return nil
	}
	if b.State == nil {
		return []string{prefixWildcard}
	}
	selectors := make([]string, len(b.State))
	for i, s := range b.State {
		selectors[i] = strings.ToLower(s)
	}
	return selectors
}

// EffectiveAccess gives the access modifier, Public by default.
func (b *Binding) EffectiveAccess() AccessModifier {
	if b.AccessModifier == "" {
		return Public
	}
	return b.AccessModifier
}

// EffectiveObjectFrom gives where the object's id stands in the event, or "" when Object names it.
func (s *Subscription) EffectiveObjectFrom() string {
	switch {
	case s.Object != "":
		return ""
	case s.ObjectFrom == "":
		return subjectAttribute
	}
	return s.ObjectFrom
}

// EffectiveTarget gives the trigger's target with the full name of its class; a sink comes back as it is.
func (p *Package) EffectiveTarget(c *Class, t *Trigger) Target {
	target := t.Target
	switch {
	case target.Sink != "":
	case target.Class == "":
		target.Class = p.ClassName(c.Key)
	case !strings.Contains(target.Class, "."):
		target.Class = p.ClassName(target.Class)
	}
	return target
}

// EffectiveDeployments gives the deployments with everything decided that needs no environment: those of the document, or one for
// each class when it has none. Each has its package, its functions, and data-plane settings with collection, partitions, replicas,
// shard type and the options of the class under its own. Deployments of unknown classes are left out.
func (p *Package) EffectiveDeployments() []Deployment {
	given := p.Deployments
	if len(given) == 0 {
		for i := range p.Classes {
			key := p.Classes[i].Key
			given = append(given, Deployment{Key: p.Name + "-" + key, ClassKey: key})
		}
	}
	effective := make([]Deployment, 0, len(given))
	for _, d := range given {
		if class := p.Class(d.ClassKey); class != nil {
			effective = append(effective, p.effectiveDeployment(d, class))
		}
	}
	return effective
}

func (p *Package) effectiveDeployment(d Deployment, c *Class) Deployment {
	d.setDefaults()
	if d.PackageName == "" {
		d.PackageName = p.Name
	}
	if len(d.Functions) == 0 {
		d.Functions = p.functionsOf(c)
	}
	odgm := OdgmData{}
	if d.Odgm != nil {
		odgm = *d.Odgm
	}
	if len(odgm.Collections) == 0 {
		odgm.Collections = []string{p.ClassName(c.Key)}
	}
	if odgm.PartitionCount == nil {
		odgm.PartitionCount = new(uint32(1))
	}
	if odgm.ReplicaCount == nil {
		odgm.ReplicaCount = new(uint32(1))
	}
	odgm.ShardType = new(effectiveShardType(odgm, c))
	odgm.Options = overlay(c.Options, odgm.Options)
	d.Odgm = &odgm
	return d
}

// functionsOf lists the functions of a class's methods, each once.
func (p *Package) functionsOf(c *Class) []FunctionDeployment {
	var list []FunctionDeployment
	seen := make(map[string]bool)
	for i := range c.Bindings {
		key := c.Bindings[i].FunctionKey
		f := p.Function(key)
		if f == nil || seen[key] {
			continue
		}
		seen[key] = true
		list = append(list, FunctionDeployment{
			FunctionKey: key, Description: f.Description, Provision: f.Provision, Config: maps.Clone(f.Config),
		})
	}
	return list
}

// effectiveShardType knows the other names of none, and lets strong consistency mean raft. Several copies of anything else are
// kept alike by mst, as OaaS-RS does; one copy needs no replication.
func effectiveShardType(odgm OdgmData, c *Class) ShardType {
	switch {
	case odgm.ShardType != nil && (*odgm.ShardType == Raft || *odgm.ShardType == MST):
		return *odgm.ShardType
	case odgm.ShardType != nil:
		return NoReplication
	case c.StateSpec != nil && c.StateSpec.ConsistencyModel == Strong:
		return Raft
	case *odgm.ReplicaCount > 1:
		return MST
	}
	return NoReplication
}

// EffectiveSettings gives the settings of a class in a deployment, nil for none: the deployment's options over the class's. The
// engine is the one that is named, else Pebble for a persistent class, else Memory.
func (p *Package) EffectiveSettings(c *Class, d *Deployment) Settings {
	options := c.Options
	if d != nil && d.Odgm != nil {
		options = overlay(c.Options, d.Odgm.Options)
	}
	return settings(options, c.Persistent())
}

// overlay gives a fresh map with all of base and, before it, all of over.
func overlay(base, over map[string]string) map[string]string {
	both := make(map[string]string, len(base)+len(over))
	maps.Copy(both, base)
	maps.Copy(both, over)
	return both
}
