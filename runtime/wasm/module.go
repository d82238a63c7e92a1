package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/hpcclab/oaas-go/api/fault"
)

// Names of the exports by which a module is called.
const (
	exportCommand    = "_start"
	exportInitialize = "_initialize"
	exportStart      = "oaas_start"
	exportBuffer     = "oaas_buffer"
	exportCall       = "oaas_call"
)

// startTimeout bounds how long a module may take to start.
const startTimeout = 30 * time.Second

// pageSize is that of WebAssembly.
const pageSize = 64 << 10

// maxPages is one page less than WebAssembly allows: the size of a memory with all of them does not fit the 32 bits in which the runtime gives it.
const maxPages = 1<<16 - 1

// module is one version of a function, with its instances.
type module struct {
	host     *Host
	spec     Spec
	hash     string
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	reactor  bool
	globals  []string // names by which the mutable globals of an image are reached
	image    *image   // nil when each call has a fresh instance
	slots    chan struct{}

	users   sync.WaitGroup // calls
	putting sync.WaitGroup // instances that are put back
	retired sync.Once
	closed  chan struct{}
	failed  error // of closing; set before closed is
	running context.Context
	cut     context.CancelFunc

	mu   sync.Mutex
	idle []*instance
}

// image is the state that the instances of a reactor begin each call with.
type image struct {
	memory  *snapshot
	size    uint32
	globals []uint64
}

// load compiles a module, checks that it can be called, and starts it.
func load(ctx context.Context, h *Host, spec Spec) (*module, error) {
	if err := checkKind(spec.Module); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(spec.Module)
	m := &module{host: h, spec: spec, hash: hex.EncodeToString(sum[:]), slots: make(chan struct{}, spec.Concurrency), closed: make(chan struct{})}
	m.running, m.cut = context.WithCancel(context.Background())
	code, globals, restorable := withGlobals(spec.Module)
	m.globals, m.spec.Module = globals, nil
	pages := uint32(min(max(spec.Memory/pageSize, 1), maxPages))
	m.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCloseOnContextDone(true).WithMemoryLimitPages(pages).WithCompilationCache(h.cache))
	if err := m.start(ctx, code, restorable); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

func (m *module) start(ctx context.Context, code []byte, restorable bool) (err error) {
	wasi, err := wasi_snapshot_preview1.Instantiate(ctx, m.runtime)
	if err != nil {
		return err
	}
	if m.compiled, err = m.runtime.CompileModule(ctx, code); err != nil {
		return fmt.Errorf("compile the module: %w", err)
	}
	if err := m.check(wasi.(api.Module)); err != nil {
		return err
	}
	if !m.reactor {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	first, err := m.fresh(ctx)
	if err != nil {
		return fmt.Errorf("start the module: %w", err)
	}
	if !restorable {
		return first.close()
	}
	if m.image, err = first.capture(m.globals); err == nil {
		err = first.reset(m.image)
	}
	if err != nil {
		return errors.Join(err, first.close())
	}
	m.idle = []*instance{first}
	return nil
}

// check refuses imports that nothing answers, and modules without a way to be called.
func (m *module) check(wasi api.Module) error {
	known := wasi.ExportedFunctionDefinitions()
	for _, f := range m.compiled.ImportedFunctions() {
		from, name, _ := f.Import()
		if _, ok := known[name]; from != wasi_snapshot_preview1.ModuleName || !ok {
			return fmt.Errorf("the module imports the function %s of %q, which is not there: modules can import what WASI preview 1 has, and nothing else", name, from)
		}
	}
	for _, mem := range m.compiled.ImportedMemories() {
		from, name, _ := mem.Import()
		return fmt.Errorf("the module imports the memory %s of %q; it has to define its own", name, from)
	}
	exports := m.compiled.ExportedFunctions()
	call, buffer := exports[exportCall], exports[exportBuffer]
	switch {
	case exports[exportCommand] != nil: // a program with the SDK exports the others too
		return signature(exports[exportCommand], nil, nil)
	case call != nil && buffer != nil:
		m.reactor = true
		return errors.Join(
			signature(call, nil, []api.ValueType{api.ValueTypeI64}),
			signature(buffer, []api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI32}))
	}
	return fmt.Errorf("the module exports neither %s (a command) nor %s and %s (a reactor), so there is nothing to call", exportCommand, exportBuffer, exportCall)
}

func signature(f api.FunctionDefinition, params, results []api.ValueType) error {
	if slices.Equal(f.ParamTypes(), params) && slices.Equal(f.ResultTypes(), results) {
		return nil
	}
	return fmt.Errorf("the exported function %s must take %d and give %d values, of the types in docs/function-contract.md", f.ExportNames()[0], len(params), len(results))
}

// call has an instance answer a call. The error is a failure of the module, that of ctx, or a BadReply fault.
func (m *module) call(ctx context.Context, message []byte) ([]byte, error) {
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(m.running, func() {
		cancel(fault.New(fault.FunctionUnavailable, "function %s was taken away while it ran", m.spec.Name))
	})()
	if !m.reactor {
		return m.command(ctx, cancel, message)
	}
	i, err := m.take(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := i.call(ctx, message)
	if err != nil || m.image == nil || !m.fits(i) {
		return answer, errors.Join(err, i.close())
	}
	m.putting.Go(func() { m.put(i) })
	return answer, nil
}

// slack is how much larger than the image the memory of an instance may be that is used again: memory never shrinks, and the module does not know
// after it was put back that it has grown.
const slack = 32 << 20

// fits tells whether the memory of an instance has not grown too much.
func (m *module) fits(i *instance) bool {
	memory := i.module.Memory()
	if memory == nil {
		return true
	}
	left := m.spec.Memory - min(m.spec.Memory, uint64(m.image.size))
	return uint64(memory.Size()-m.image.size) <= min(slack, left/4)
}

// take gives an instance that no call has used since it was put back.
func (m *module) take(ctx context.Context) (*instance, error) {
	if m.image == nil {
		return m.fresh(ctx)
	}
	m.mu.Lock()
	if last := len(m.idle) - 1; last >= 0 {
		i := m.idle[last]
		m.idle = m.idle[:last]
		m.mu.Unlock()
		return i, nil
	}
	m.mu.Unlock()
	i, err := m.instantiate(ctx, nil, nil)
	if err != nil {
		return nil, err
	}
	if err := i.reset(m.image); err != nil {
		return nil, errors.Join(err, i.close())
	}
	return i, nil
}

// put brings an instance back to the image, for the next call.
func (m *module) put(i *instance) {
	err := i.reset(m.image)
	m.mu.Lock()
	keep := err == nil && len(m.idle) < cap(m.slots)
	if keep {
		m.idle = append(m.idle, i)
	}
	m.mu.Unlock()
	if !keep {
		_ = i.close() // frees memory, which cannot fail
	}
}

func (m *module) status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Status{Hash: m.hash, Instances: len(m.idle) + len(m.slots), InFlight: len(m.slots), Fresh: m.image == nil}
}

// retire has the module closed by the last of its calls. Nobody begins new ones.
func (m *module) retire() {
	m.retired.Do(func() {
		go func() {
			defer close(m.closed)
			m.users.Wait()
			m.failed = m.close()
		}()
	})
}

// isClosed reports whether a retired module is closed, and nothing went wrong with that.
func (m *module) isClosed() bool {
	select {
	case <-m.closed:
		return m.failed == nil
	default:
		return false
	}
}

// wait returns when a retired module is closed; when ctx ends, what runs is cut off.
func (m *module) wait(ctx context.Context) error {
	select {
	case <-m.closed:
	case <-ctx.Done():
		m.cut()
		<-m.closed
	}
	return m.failed
}

func (m *module) close() error {
	m.putting.Wait()
	m.cut()
	err := m.runtime.Close(context.Background())
	if m.compiled != nil {
		err = errors.Join(err, m.compiled.Close(context.Background()))
	}
	if m.image != nil {
		m.image.memory.close()
	}
	return err
}
