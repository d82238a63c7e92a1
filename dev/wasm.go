package dev

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/dev/project"
	"github.com/hpcclab/oaas-go/runtime/builder"
	"github.com/hpcclab/oaas-go/runtime/wasm"
)

// moduleSpec says how a function that is a WebAssembly module is run, from a file that never changes.
type moduleSpec struct {
	file        string
	env         map[string]string
	memory      uint64
	concurrency int
}

// buildModule builds the module of a function, or fetches it.
func (p *platform) buildModule(ctx context.Context, proj *project.Project, f *opackage.Function) (*builder.Result, error) {
	if f.Provision == nil || f.Provision.WasmModuleURL == nil {
		return p.builder.Build(ctx, proj.BuildRequest(f, p.dataDir))
	}
	if err := p.builder.Prepare(ctx, proj.BuildRequest(f, p.dataDir)); err != nil {
		return nil, err
	}
	code, err := wasm.Fetch(ctx, *f.Provision.WasmModuleURL, proj.Dir, p.url)
	if err != nil {
		return nil, fault.Wrap(fault.CodeOf(err), err, "function %s", f.Key)
	}
	return p.builder.Place(proj.Name, f.Key, code)
}

// moduleSpecOf says how a built module runs. It sees nothing of the platform's environment.
func moduleSpecOf(f *opackage.Function, b rememberedFunc) moduleSpec {
	s := moduleSpec{env: maps.Clone(f.Config), memory: f.MemoryLimit()}
	if len(b.Command) > 0 {
		s.file = b.Command[0]
	}
	if f.Provision != nil {
		s.concurrency = int(f.Provision.MaxConcurrency)
	}
	return s
}

// deployModule has a module serve.
func (p *platform) deployModule(ctx context.Context, name string, s moduleSpec) (*wasm.Function, error) {
	code, err := os.ReadFile(s.file)
	if err != nil {
		return nil, fault.Wrap(fault.FunctionUnavailable, err, "function %s: read its module; deploy it again", name)
	}
	return p.modules.Deploy(ctx, wasm.Spec{Name: name, Module: code, Env: s.env, Memory: s.memory, Concurrency: s.concurrency})
}

// startModule brings up the module of a deployment, unless it serves just so already.
func (p *platform) startModule(ctx context.Context, d, old *deployment, f *opackage.Function, tell report) (started bool, err error) {
	name := d.Package.Name + "-" + f.Key
	s := moduleSpecOf(f, d.Builds[f.Key])
	d.modules[name] = s
	if _, serves := p.modules.Function(name); serves && old != nil && reflect.DeepEqual(old.modules[name], s) {
		return false, nil
	}
	begun := time.Now()
	if _, err := p.deployModule(ctx, name, s); err != nil {
		return false, err
	}
	tell(control.Progress{Step: control.StepStart, Function: f.Key, Millis: time.Since(begun).Milliseconds()})
	return true, nil
}

// putBackModules undoes the start of modules.
func (p *platform) putBackModules(ctx context.Context, names []string, old *deployment) {
	for _, name := range names {
		var err error
		if s, had := modulesOf(old)[name]; had {
			_, err = p.deployModule(ctx, name, s)
		} else {
			err = p.dropModule(ctx, name)
		}
		if err != nil {
			p.problem(control.Activity{Function: name, Message: "put back what was there before: " + err.Error()})
		}
	}
}

func modulesOf(d *deployment) map[string]moduleSpec {
	if d == nil {
		return nil
	}
	return d.modules
}

// retireModules takes away the modules that the new deployment has not.
func (p *platform) retireModules(ctx context.Context, d, old *deployment) error {
	var errs []error
	for name := range old.modules {
		if _, stays := d.modules[name]; !stays {
			errs = append(errs, p.dropModule(ctx, name))
		}
	}
	return errors.Join(errs...)
}

func (p *platform) dropModule(ctx context.Context, name string) error {
	if err := p.modules.Remove(ctx, name); err != nil && fault.CodeOf(err) != fault.NotFound {
		return fmt.Errorf("stop function %s: %w", name, err)
	}
	return nil
}

// moduleLog is told each line that a module writes.
func (p *platform) moduleLog(function, line string) {
	p.activity.add(control.Activity{Kind: control.KindLog, Function: function, Message: line})
}

// readModuleLog gives the lines that a module has written, as far as they are kept: the last tail ones (all if it is negative), and those that come.
func (p *platform) readModuleLog(ctx context.Context, name string, follow bool, tail int, fn func(control.LogLine)) {
	line := func(a control.Activity) (control.LogLine, bool) {
		return control.LogLine{Time: a.Time, Function: name, Stream: "stderr", Text: a.Message}, a.Kind == control.KindLog && a.Function == name
	}
	past, _ := p.activity.since(0)
	var lines []control.LogLine
	last := uint64(0)
	for _, a := range past {
		last = a.Seq
		if l, ours := line(a); ours {
			lines = append(lines, l)
		}
	}
	if tail >= 0 && len(lines) > tail {
		lines = lines[len(lines)-tail:]
	}
	for _, l := range lines {
		fn(l)
	}
	if !follow {
		return
	}
	// It ends when the reader goes away or the platform stops.
	_ = p.activity.follow(ctx, p.stopping.Done(), last, func(a control.Activity) error {
		if l, ours := line(a); ours {
			fn(l)
		}
		return nil
	})
}
