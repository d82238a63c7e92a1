// Package opackage is the package document: the file in which people say what classes, methods, functions and triggers they have.
//
// Guarantee: the JSON that it writes is that of OaaS-RS, key by key, with this platform's additions left out where they are not used.
// What people write is read by [ParseYAML] and [ParseJSON], which refuse what they do not know and name line, column and what was
// probably meant; [Package.Validate] lists every rule that a document breaks, not only the first. No input makes them panic, or take
// more than bounded time and memory. encoding/json reads back what this package wrote.
//
// The Effective… helpers are the only place where defaults are decided, so that every component sees the same ones.
package opackage

import "time"

// Package is a package document: classes, the functions that they are made of, and how they are to be deployed.
type Package struct {
	Name         string       `json:"name" key:"required"`
	Version      *string      `json:"version"`
	Metadata     Metadata     `json:"metadata"`
	Classes      []Class      `json:"classes"`
	Functions    []Function   `json:"functions"`
	Dependencies []string     `json:"dependencies"`
	Deployments  []Deployment `json:"deployments"`

	// places is where the values stood in the text, nil when the package was not parsed.
	places *places
}

// Metadata describes a package to people.
type Metadata struct {
	Author      *string   `json:"author"`
	Description *string   `json:"description"`
	Tags        []string  `json:"tags"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
	UpdatedAt   time.Time `json:"updated_at,omitzero"`
}

// Class is a named kind of object: its state, its methods and what its changes fire.
type Class struct {
	// Key is the name inside the package; see [Package.ClassName] for the name that callers use.
	Key         string     `json:"key" key:"required"`
	Description *string    `json:"description"`
	StateSpec   *StateSpec `json:"state_spec"`
	Bindings    []Binding  `json:"function_bindings"`
	// Options are the data plane's options in every deployment of the class; see [KnownOptions].
	Options map[string]string `json:"options,omitempty"`

	// Sink takes the events that methods emit: an http(s) URL, or [DefaultSink].
	Sink          string         `json:"sink,omitempty"`
	Triggers      []Trigger      `json:"triggers,omitempty"`
	Subscriptions []Subscription `json:"subscriptions,omitempty"`
}

// DefaultSink, as sink of a class or trigger, is the sink that the platform was given (K_SINK).
const DefaultSink = "default"

// StateSpec says how the objects of a class are kept.
type StateSpec struct {
	KeySpecs            []KeySpec        `json:"key_specs,omitempty"`
	DefaultProvider     string           `json:"default_provider,omitempty"`
	ConsistencyModel    ConsistencyModel `json:"consistency_model"`
	Persistent          bool             `json:"persistent"`
	SerializationFormat string           `json:"serialization_format"`
}

// KeySpec documents one entry of a class's objects.
type KeySpec struct {
	Name    string `json:"name" key:"required"`
	KeyType string `json:"key_type" key:"required"`
}

// ConsistencyModel says what readers of a class may see; "" means NoConsistency.
type ConsistencyModel string

// The consistency models. Strong selects raft; the others differ in name only.
const (
	NoConsistency    ConsistencyModel = "NONE"
	ReadYourWrite    ConsistencyModel = "READ_YOUR_WRITE"
	BoundedStaleness ConsistencyModel = "BOUNDED_STALENESS"
	Strong           ConsistencyModel = "STRONG"
)

// Function is code that methods are bound to; several methods, of several classes, may share one.
type Function struct {
	Key          string       `json:"key" key:"required"`
	FunctionType FunctionType `json:"function_type"`
	Description  *string      `json:"description"`
	// Provision is nil for a function that is not deployed by the platform.
	Provision *ProvisionConfig `json:"provision_config"`
	// Config is the environment of the function.
	Config map[string]string `json:"config"`

	// Runtime is how the local runner builds and starts it; "" is guessed from the files in Source.
	Runtime Runtime `json:"runtime,omitempty"`
	// Source is the folder of the code, relative to the package file.
	Source string `json:"source,omitempty"`
	// Build and Command replace the runtime's own way to build and to start the function.
	Build   []string `json:"build,omitempty"`
	Command []string `json:"command,omitempty"`
	// URL is a function that somebody else runs, instead of Runtime: http(s)://, or grpc://host:port for a function container of OaaS-RS.
	URL string `json:"url,omitempty"`
	// Contract says how the function is called; ask [Function.EffectiveContract].
	Contract Contract `json:"contract,omitempty"`
	// Scaling has Knative's autoscaling annotations.
	Scaling map[string]string `json:"scaling,omitempty"`
}

// FunctionType is the kind of a function; "" means CustomFunction. It is informational.
type FunctionType string

// The kinds of functions.
const (
	BuiltinFunction FunctionType = "BUILTIN"
	CustomFunction  FunctionType = "CUSTOM"
	MacroFunction   FunctionType = "MACRO"
	LogicalFunction FunctionType = "LOGICAL"
	WasmFunction    FunctionType = "WASM"
)

// Contract is how a function is called.
type Contract string

// The contracts. GRPCContract is that of OaaS-RS: the function serves the gRPC service oprc.OprcFunction, and gets and changes state by data calls of
// its own. HTTPContract is that of docs/function-contract.md: state travels with the call.
const (
	HTTPContract Contract = "http"
	GRPCContract Contract = "grpc"
)

// Runtime names a way to build and start a function from source.
type Runtime string

// The runtimes.
const (
	GoRuntime      Runtime = "go"
	PythonRuntime  Runtime = "python"
	NodeRuntime    Runtime = "node"
	CommandRuntime Runtime = "command"
	// WasmRuntime is a WebAssembly module that runs in the process of the shard: built from Go source, or there already.
	WasmRuntime Runtime = "wasm"
)

// ProvisionConfig is what a cluster needs to run a function.
type ProvisionConfig struct {
	ContainerImage *string `json:"container_image,omitempty"`
	WasmModuleURL  *string `json:"wasm_module_url,omitempty"`
	Port           *uint16 `json:"port"`
	// MaxConcurrency is the number of calls that one instance takes at once; 0 is no limit.
	MaxConcurrency uint32 `json:"max_concurrency"`
	// NeedHTTP2 has the function called over HTTP/2 without encryption; unless the function says otherwise, its contract is then gRPC.
	NeedHTTP2     bool    `json:"need_http2"`
	CPURequest    *string `json:"cpu_request"`
	MemoryRequest *string `json:"memory_request"`
	CPULimit      *string `json:"cpu_limit"`
	MemoryLimit   *string `json:"memory_limit"`
	MinScale      *uint32 `json:"min_scale"`
	// MaxScale bounds the number of instances; nil and 0 are no bound.
	MaxScale *uint32 `json:"max_scale"`
	WasmFuel *uint64 `json:"wasm_fuel,omitempty"`
}
