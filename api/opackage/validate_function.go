package opackage

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

func (v *validator) function(at string, f *Function) {
	v.check(at+".key", checkName(f.Key, true))
	choice(v, at+".function_type", f.FunctionType, BuiltinFunction, CustomFunction, MacroFunction, LogicalFunction, WasmFunction)
	if f.Provision != nil {
		v.provision(at+".provision_config", f.Provision)
	}
	v.environment(at+".config", f.Config)
	choice(v, at+".runtime", f.Runtime, GoRuntime, PythonRuntime, NodeRuntime, CommandRuntime, WasmRuntime)
	if f.Runtime == CommandRuntime && len(f.Command) == 0 {
		v.fail(at+".command", "the runtime command needs a command")
	}
	if f.Source != "" {
		v.check(at+".source", checkSource(f.Source, v.absoluteSource))
	}
	v.argv(at+".build", f.Build)
	v.argv(at+".command", f.Command)
	choice(v, at+".contract", f.Contract, HTTPContract, GRPCContract)
	v.functionURL(at, f)
	v.wasm(at, f)
	v.scaling(at+".scaling", f.Scaling)
}

func (v *validator) functionURL(at string, f *Function) {
	if f.URL == "" {
		return
	}
	if f.EffectiveContract() == GRPCContract {
		v.check(at+".url", checkContainerURL(f.URL))
	} else {
		v.check(at+".url", checkURL(f.URL))
	}
	for _, other := range []struct {
		key   string
		given bool
	}{
		{"runtime", f.Runtime != ""}, {"source", f.Source != ""}, {"build", len(f.Build) > 0}, {"command", len(f.Command) > 0},
		{"scaling", len(f.Scaling) > 0},
	} {
		if other.given {
			v.fail(at+"."+other.key, "the function has a url, so somebody else runs it: %s does not go with url", other.key)
		}
	}
}

// checkContainerURL wants the address of a gRPC server, whose paths are given by the service.
func checkContainerURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != grpcScheme:
		if why := checkURL(text); why != "" {
			return why + ", or grpc://host:port for a function container"
		}
	case u.Hostname() == "":
		return quote(text) + " is a URL without a host"
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		return quote(text) + " has more than a host and a port, which is all that the URL of a function container can have"
	}
	return ""
}

// wasm checks that a module can be had in one way only, and runs in no process.
func (v *validator) wasm(at string, f *Function) {
	if f.FunctionType == WasmFunction && !f.IsWasm() && f.URL == "" {
		v.fail(at+".function_type", "is WASM, but there is no module: set provision_config.wasm_module_url, or runtime: wasm for source")
	}
	if !f.IsWasm() {
		return
	}
	module := f.Provision != nil && f.Provision.WasmModuleURL != nil
	for _, other := range []struct {
		key, why string
		given    bool
	}{
		{"url", "somebody else runs the function", f.URL != ""},
		{"runtime", "only wasm goes with a module", module && f.Runtime != "" && f.Runtime != WasmRuntime},
		{"command", "a module is started by the platform", len(f.Command) > 0},
		{"contract", "a module is called in memory", f.Contract == GRPCContract},
		{"scaling", "it runs in the process of its objects", len(f.Scaling) > 0},
	} {
		if other.given {
			v.fail(at+"."+other.key, "the function is a WebAssembly module; %s does not go with it: %s", other.key, other.why)
		}
	}
}

// checkSource wants a folder that means the same on every machine, unless absolute ones are allowed.
func checkSource(source string, absolute bool) string {
	switch {
	case strings.ContainsRune(source, 0):
		return "holds a NUL character"
	case absolute && filepath.IsAbs(source):
		return ""
	case strings.Contains(source, `\`):
		return quote(source) + " holds a backslash; write / between folders"
	case path.IsAbs(source) || len(source) > 1 && source[1] == ':':
		return quote(source) + " is absolute; the folder is relative to the package file"
	}
	return ""
}

// argv checks the words of a command, which may be absent.
func (v *validator) argv(at string, words []string) {
	for i, word := range words {
		if i == 0 && word == "" {
			v.fail(index(at, i), "the program to run must not be empty")
		}
		if strings.ContainsRune(word, 0) {
			v.fail(index(at, i), "holds a NUL character")
		}
	}
}

func (v *validator) environment(at string, config map[string]string) {
	for _, name := range sortedKeys(config) {
		if !environmentName.MatchString(name) {
			v.fail(keyPath(at, name), "%s is no name of an environment variable: letters, digits, _, - and ., not a digit first", quote(name))
		}
		if strings.ContainsRune(config[name], 0) {
			v.fail(keyPath(at, name), "holds a NUL character")
		}
	}
}

// scalingKeys are Knative's autoscaling annotations, without their prefix.
var scalingKeys = []string{
	"class", "min-scale", "max-scale", "initial-scale", "activation-scale", "scale-down-delay", "metric", "target",
	"target-utilization-percentage", "target-burst-capacity", "metric-aggregation-algorithm", "window", "panic-window-percentage",
	"panic-threshold-percentage", "scale-to-zero-pod-retention-period",
}

func (v *validator) scaling(at string, scaling map[string]string) {
	for _, key := range sortedKeys(scaling) {
		word := strings.TrimPrefix(key, scalingPrefix)
		switch meant := suggest(word, scalingKeys); {
		case word == key && meant != "":
			v.report(keyPath(at, key), scalingPrefix+meant, fmt.Sprintf("%s does not begin with %s", quote(key), scalingPrefix))
		case word == key:
			v.fail(keyPath(at, key), "%s does not begin with %s", quote(key), scalingPrefix)
		case slices.Contains(scalingKeys, word):
			v.check(keyPath(at, key), notEmpty(scaling[key]))
		case meant != "":
			v.report(keyPath(at, key), scalingPrefix+meant, "unknown key "+quote(key))
		default:
			v.fail(keyPath(at, key), "unknown key %s; known after %s are %s", quote(key), scalingPrefix, strings.Join(scalingKeys, ", "))
		}
	}
}

func (v *validator) provision(at string, c *ProvisionConfig) {
	if c.Port != nil && *c.Port == 0 {
		v.fail(at+".port", "is 0, allowed are 1 to 65535")
	}
	if c.MinScale != nil && c.MaxScale != nil && *c.MaxScale > 0 && *c.MinScale > *c.MaxScale {
		v.fail(at+".min_scale", "is %d, more than max_scale, which is %d", *c.MinScale, *c.MaxScale)
	}
	if c.WasmModuleURL != nil {
		v.check(at+".wasm_module_url", checkModule(*c.WasmModuleURL))
	}
	if c.ContainerImage != nil && (*c.ContainerImage == "" || strings.ContainsAny(*c.ContainerImage, " \t\r\n\x00")) {
		v.fail(at+".container_image", "%s is not the name of an image", quote(*c.ContainerImage))
	}
	v.resources(at, "cpu", c.CPURequest, c.CPULimit)
	v.resources(at, "memory", c.MemoryRequest, c.MemoryLimit)
}

func checkModule(text string) string {
	scheme, _, hasScheme := strings.Cut(text, "://")
	schemes := []string{"file", "http", "https", "oci", "oci+http"}
	switch {
	case text == "":
		return "must not be empty"
	case hasScheme && !slices.Contains(schemes, scheme):
		return fmt.Sprintf("%s starts with none of %s:// and is no file path", quote(text), strings.Join(schemes, "://, "))
	}
	return ""
}

// resources checks a request and a limit of the same resource.
func (v *validator) resources(at, name string, request, limit *string) {
	wanted, ok := v.quantity(at+"."+name+"_request", request)
	most, limited := v.quantity(at+"."+name+"_limit", limit)
	if ok && limited && wanted > most {
		v.fail(at+"."+name+"_request", "is %s, more than %s_limit, which is %s", *request, name, *limit)
	}
}

func (v *validator) quantity(at string, text *string) (float64, bool) {
	if text == nil {
		return 0, false
	}
	value, ok := quantity(*text)
	if !ok {
		v.fail(at, "%s is not a quantity such as 250m, 2, 64Mi or 1G", quote(*text))
	}
	return value, ok
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
