// Package wasm runs functions that are WebAssembly modules (WASI preview 1) in this process, beside the state.
//
// Guarantee: a call sees nothing of the calls before it and beside it; a call ends when its context does, whatever the module does; a module reaches
// neither files nor network nor environment, and no more memory than it is given; calls do not fail because a function is being replaced. See DESIGN.md
// beside this file, and docs/function-contract.md for what a module has to do.
package wasm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/tetratelabs/wazero"

	"github.com/hpcclab/oaas-go/api/fault"
)

// Limits and defaults.
const (
	DefaultMemory = 128 << 20
	// MaxModule is the longest module in bytes.
	MaxModule = 64 << 20
	// maxAnswer is the longest answer of a module, and as much standard output as a command may have.
	maxAnswer = 16 << 20
)

// Config says how modules are run. The zero value is usable.
type Config struct {
	// CacheDir keeps compiled modules, so that a restart need not compile them again; empty keeps them in memory.
	CacheDir string
	// OnLog, if set, is told each line that a function writes to its standard error, and a reactor to its standard output.
	OnLog func(function, line string)
}

// Spec says how a function is run.
type Spec struct {
	Name string
	// Module is the module's bytes.
	Module []byte
	// Env is the whole environment that the module sees.
	Env map[string]string
	// Memory bounds the memory of an instance in bytes; 0 means DefaultMemory.
	Memory uint64
	// Concurrency is how many calls run at the same time; 0 means two for each processor.
	Concurrency int
}

// Host runs functions. Its methods may be called by any number of goroutines.
type Host struct {
	cfg   Config
	cache wazero.CompilationCache

	mu        sync.Mutex
	functions map[string]*Function
	closed    bool
}

// New makes a host. The caller ends it with Close.
func New(cfg Config) (*Host, error) {
	if cfg.OnLog == nil {
		cfg.OnLog = func(string, string) {}
	}
	h := &Host{cfg: cfg, cache: wazero.NewCompilationCache(), functions: map[string]*Function{}}
	if cfg.CacheDir != "" {
		var err error
		if h.cache, err = wazero.NewCompilationCacheWithDir(cfg.CacheDir); err != nil {
			return nil, fmt.Errorf("open the cache of compiled modules: %w", err)
		}
	}
	return h, nil
}

// Deploy brings up a function, or replaces it: when it returns, new calls go to the new module. When it fails, what there was goes on serving.
func (h *Host) Deploy(ctx context.Context, spec Spec) (*Function, error) {
	if spec.Memory == 0 {
		spec.Memory = DefaultMemory
	}
	if spec.Concurrency <= 0 {
		spec.Concurrency = 2 * runtime.GOMAXPROCS(0)
	}
	m, err := load(ctx, h, spec)
	if err != nil {
		if ended := ctx.Err(); ended != nil {
			err = fault.From(ended)
		}
		return nil, fault.Wrap(codeOf(err), err, "function %s", spec.Name)
	}
	f, err := h.function(spec.Name)
	if err != nil {
		return nil, errors.Join(err, m.close())
	}
	if err := f.replace(m); err != nil {
		return nil, err
	}
	return f, nil
}

// codeOf gives the code of a module that cannot be loaded: the deployer's fault, unless something else says otherwise.
func codeOf(err error) fault.Code {
	if code := fault.CodeOf(err); code != fault.Internal {
		return code
	}
	return fault.InvalidArgument
}

// function gives the function of that name, which is made if need be.
func (h *Host) function(name string) (*Function, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fault.New(fault.Unavailable, "the platform is stopping")
	}
	f := h.functions[name]
	if f == nil {
		f = &Function{name: name}
		h.functions[name] = f
	}
	return f, nil
}

// Function gives a deployed function.
func (h *Host) Function(name string) (*Function, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, found := h.functions[name]
	return f, found
}

// Remove takes a function away: it takes no more calls, and those that run end as they would. It waits for them until ctx ends; then they are cut off.
func (h *Host) Remove(ctx context.Context, name string) error {
	h.mu.Lock()
	f := h.functions[name]
	delete(h.functions, name)
	h.mu.Unlock()
	if f == nil {
		return fault.New(fault.NotFound, "there is no function %q", name)
	}
	return f.close(ctx)
}

// Close takes all functions away, as Remove does.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	all := slices.Collect(maps.Values(h.functions))
	clear(h.functions)
	h.mu.Unlock()
	var errs []error
	for _, f := range all {
		errs = append(errs, f.close(ctx))
	}
	return errors.Join(append(errs, h.cache.Close(context.WithoutCancel(ctx)))...)
}
