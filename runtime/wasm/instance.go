package wasm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/hpcclab/oaas-go/api/fault"
)

// instance is a module with a memory of its own. One call uses it at a time.
type instance struct {
	of      *module
	module  api.Module
	memory  *linear
	globals []api.MutableGlobal
	log     *lineWriter
	ctx     atomic.Pointer[context.Context] // of what runs; sleeping ends with it
}

// failure is the end of a call that the module itself has brought about.
type failure struct{ text string }

func (f *failure) Error() string { return f.text }

// instantiate makes an instance with the memory as the module's data say, and runs nothing but the module's own start section.
func (m *module) instantiate(ctx context.Context, stdin io.Reader, stdout io.Writer) (*instance, error) {
	i := &instance{of: m, log: &lineWriter{emit: func(line string) { m.host.cfg.OnLog(m.spec.Name, line) }}}
	i.ctx.Store(&ctx)
	if stdout == nil {
		stdout = i.log
	}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().WithArgs(m.spec.Name).WithStdout(stdout).WithStderr(i.log).
		WithSysWalltime().WithSysNanotime().WithNanosleep(i.sleep).WithRandSource(rand.Reader)
	if stdin != nil {
		config = config.WithStdin(stdin)
	}
	for name, value := range m.spec.Env {
		config = config.WithEnv(name, value)
	}
	with, memory := withMemory(ctx)
	var err error
	if i.module, err = m.runtime.InstantiateModule(with, m.compiled, config); err != nil {
		return nil, i.explain(ctx, err)
	}
	i.memory = memory
	for _, name := range m.globals {
		i.globals = append(i.globals, i.module.ExportedGlobal(name).(api.MutableGlobal))
	}
	return i, nil
}

// fresh makes an instance of a reactor that has started.
func (m *module) fresh(ctx context.Context) (*instance, error) {
	i, err := m.instantiate(ctx, nil, nil)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{exportInitialize, exportStart} {
		f := i.module.ExportedFunction(name)
		if f == nil {
			continue
		}
		if _, err := f.Call(ctx); err != nil {
			return nil, errors.Join(i.explain(ctx, err), i.close())
		}
	}
	return i, nil
}

// sleep ends early when the call does.
func (i *instance) sleep(ns int64) {
	timer := time.NewTimer(time.Duration(ns))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-(*i.ctx.Load()).Done():
	}
}

// call writes a call into the memory of a reactor, runs it, and reads the answer.
func (i *instance) call(ctx context.Context, message []byte) ([]byte, error) {
	i.ctx.Store(&ctx)
	i.log.begin()
	defer i.log.end()
	got, err := i.module.ExportedFunction(exportBuffer).Call(ctx, uint64(len(message)))
	if err != nil {
		return nil, i.explain(ctx, err)
	}
	memory := i.module.Memory()
	if memory == nil || !memory.Write(uint32(got[0]), message) {
		return nil, i.badReply("%s(%d) gave the address %d, where its memory has no room for that", exportBuffer, len(message), uint32(got[0]))
	}
	if got, err = i.module.ExportedFunction(exportCall).Call(ctx); err != nil {
		return nil, i.explain(ctx, err)
	}
	at, size := uint32(got[0]>>32), uint32(got[0])
	if size > maxAnswer {
		return nil, i.badReply("an answer of %d bytes is longer than the allowed %d", size, maxAnswer)
	}
	answer, ok := memory.Read(at, size)
	if !ok {
		return nil, i.badReply("%s gave %d bytes at address %d, which are not in its memory", exportCall, size, at)
	}
	return bytes.Clone(answer), nil
}

func (i *instance) badReply(format string, args ...any) error {
	return fault.New(fault.BadReply, "function %s: bad reply: %s; nothing was changed", i.of.spec.Name, fmt.Sprintf(format, args...))
}

// command runs the one call of a fresh instance of a command: the call is on its standard input, the answer on its standard output.
func (m *module) command(ctx context.Context, cancel context.CancelCauseFunc, message []byte) ([]byte, error) {
	out := &answerWriter{full: cancel}
	i, err := m.instantiate(ctx, bytes.NewReader(message), out)
	if err != nil {
		return nil, err
	}
	defer i.log.end()
	_, err = i.module.ExportedFunction(exportCommand).Call(ctx)
	err = i.explain(ctx, errors.Join(err, i.close()))
	switch {
	case out.over:
		return nil, i.badReply("its standard output is longer than the allowed %d bytes", maxAnswer)
	case err != nil:
		return nil, err
	}
	return out.content.Bytes(), nil
}

// answerWriter keeps standard output. When it gets too long, the module is cut off.
type answerWriter struct {
	content bytes.Buffer
	over    bool
	full    context.CancelCauseFunc
}

var errFull = errors.New("the standard output is too long")

func (w *answerWriter) Write(p []byte) (int, error) {
	if w.over = w.over || w.content.Len()+len(p) > maxAnswer; w.over {
		w.full(errFull)
		return 0, errFull
	}
	return w.content.Write(p)
}

// explain makes an error of how a module ended: that of ctx if it was cut off, nil for the exit code 0 of a command, else a failure with its last words.
func (i *instance) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		if known, ok := errors.AsType[*fault.Error](context.Cause(ctx)); ok {
			return known
		}
		return ctx.Err()
	}
	i.log.end()
	var text string
	if exit, ok := errors.AsType[*sys.ExitError](err); ok {
		if exit.ExitCode() == 0 && !i.of.reactor {
			return nil
		}
		text = fmt.Sprintf("function %s: the module ended with exit code %d", i.of.spec.Name, exit.ExitCode())
	} else {
		what, trace, _ := strings.Cut(err.Error(), "\n")
		for line := range strings.Lines(trace) {
			i.log.emit(strings.TrimRight(line, "\n"))
		}
		text = fmt.Sprintf("function %s: the module trapped: %s", i.of.spec.Name, strings.TrimSuffix(what, " (recovered by wazero)"))
	}
	if words := i.log.lastWords(); words != "" {
		text += ": " + words
	}
	return &failure{text}
}

// capture takes the state of an instance between two calls.
func (i *instance) capture(globals []string) (*image, error) {
	img := &image{}
	var content []byte
	if memory := i.module.Memory(); memory != nil {
		img.size = memory.Size()
		content, _ = memory.Read(0, img.size)
	}
	for _, g := range i.globals {
		img.globals = append(img.globals, g.Get())
	}
	var err error
	img.memory, err = newSnapshot(content)
	return img, err
}

// reset makes the state of the instance that of the image.
func (i *instance) reset(img *image) error {
	for n, g := range i.globals {
		g.Set(img.globals[n])
	}
	memory := i.module.Memory()
	if memory == nil {
		return nil
	}
	if memory.Size() < img.size { // an instance that has not started is smaller where the start takes memory
		if _, ok := memory.Grow((img.size - memory.Size()) / pageSize); !ok {
			return errors.New("the memory of an instance cannot be as large as that of the image")
		}
	}
	view, _ := memory.Read(0, memory.Size())
	return img.memory.restore(i.memory, view)
}

func (i *instance) close() error { return i.module.Close(context.Background()) }
