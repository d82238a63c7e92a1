package dev

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/dev/project"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/pm"
	"github.com/hpcclab/oaas-go/runtime/builder"
	"github.com/hpcclab/oaas-go/runtime/runner"
)

// report is told each step of a deployment.
type report func(control.Progress)

// undoTimeout bounds how long putting things back may take after a deployment that failed.
const undoTimeout = 2 * time.Minute

// load reads a project with everything checked that can be checked before it is built.
func load(dir string) (*project.Project, error) {
	return project.Load(dir, withCondition)
}

// withCondition has documents checked for conditions that do not compile.
var withCondition = opackage.WithCondition(func(expression string) error {
	_, err := condition.Compile(expression)
	return err
})

// deploy brings up the project in a folder, or its newest source: its package and its deployments go to the Package Manager as a whole. Until everything
// of it has started, what was there before keeps serving; when something fails, it goes on serving.
func (p *platform) deploy(ctx context.Context, dir string, tell report) (*deployment, error) {
	proj, err := load(dir)
	if err != nil {
		return nil, err
	}
	// Somebody may have to wait for another deployment; the source is read when it is one's turn.
	pkg := proj.Name
	source := func() (*opackage.Package, string, error) {
		if proj, err = load(dir); err != nil {
			return nil, "", err
		}
		tell(control.Progress{Step: control.StepValidate, Message: proj.Name})
		for _, warning := range proj.Warnings() {
			tell(control.Progress{Step: control.StepValidate, Message: "warning: " + warning.Error()})
		}
		return proj.Package, proj.Dir, nil
	}
	err = p.manager.Apply(ctx, pkg, source, func(s pm.Step) {
		tell(control.Progress{Step: s.Name, Function: s.Function, Message: s.Message, Millis: s.Took.Milliseconds()})
	})
	if err != nil {
		return nil, err
	}
	if d := p.project(pkg); d != nil {
		return d, nil
	}
	// Without classes there is nothing to call, so nothing runs.
	idle := &opackage.Package{Name: pkg, Version: proj.Version}
	return newDeployment(remembered{Dir: proj.Dir, Package: idle, Source: project.Fingerprint(proj.Dir, p.dataDir)}), nil
}

func slotsOf(d *deployment) map[string]*slot {
	if d == nil {
		return nil
	}
	return d.slots
}

// bringUp does the steps of a deployment. The caller has the package's token.
func (p *platform) bringUp(ctx context.Context, d, old *deployment, tell report) error {
	proj := &project.Project{Dir: d.Dir, Package: d.Package}
	if d.Dir != "" {
		d.Source = project.Fingerprint(d.Dir, p.dataDir)
	}
	var names []string
	for i := range proj.Functions {
		names = append(names, proj.FunctionName(proj.Functions[i].Key))
	}
	if err := p.own(proj.Name, names); err != nil {
		return err
	}
	if err := p.build(ctx, proj, d, tell); err != nil {
		return err
	}
	if d.Dir != "" && buildsItself(d.Package) {
		d.Source = project.Fingerprint(d.Dir, p.dataDir) // with what the build commands have written
	}
	undo, err := p.start(ctx, d, old, tell)
	if err == nil {
		err = p.activate(ctx, d, old, tell)
	}
	if err != nil {
		undo()
		return err
	}
	p.retire(context.WithoutCancel(ctx), d, old)
	return nil
}

// build builds all functions that run here.
func (p *platform) build(ctx context.Context, proj *project.Project, d *deployment, tell report) error {
	for i := range proj.Functions {
		f := &proj.Functions[i]
		if !project.Local(f) {
			continue
		}
		if f.Source == "" && f.Runtime == "" && !f.IsWasm() && f.Provision != nil && f.Provision.ContainerImage != nil && len(f.Command) == 0 {
			return fault.New(fault.InvalidArgument,
				"function %s has only a container image, which oaas dev does not run; give it source:, or url: if it runs elsewhere", f.Key)
		}
		build := func() (*builder.Result, error) { return p.builder.Build(ctx, proj.BuildRequest(f, p.dataDir)) }
		if f.IsWasm() {
			build = func() (*builder.Result, error) { return p.buildModule(ctx, proj, f) }
		}
		r, err := build()
		if err != nil {
			return err
		}
		message := string(r.Runtime)
		if r.Reused {
			message += ", unchanged"
		}
		tell(control.Progress{Step: control.StepBuild, Function: f.Key, Message: message, Millis: r.Took.Milliseconds()})
		d.Builds[f.Key] = rememberedFunc{Runtime: string(r.Runtime), Hash: r.Hash, Command: r.Command, Dir: r.Dir, Env: r.Env}
	}
	return nil
}

// spec says how a built function runs.
func (p *platform) spec(pkg *opackage.Package, f *opackage.Function, b rememberedFunc) runner.Spec {
	s := runner.Spec{
		Name: pkg.Name + "-" + f.Key, Dir: b.Dir, Command: b.Command, Env: p.functionEnv(), Scaling: f.Scaling,
	}
	for _, kv := range b.Env {
		name, value, _ := strings.Cut(kv, "=")
		s.Env[name] = value
	}
	if f.EffectiveContract() == opackage.GRPCContract {
		maps.Copy(s.Env, p.containerEnv())
	}
	s.HTTP2 = f.NeedsHTTP2()
	maps.Copy(s.Env, f.Config)
	if c := f.Provision; c != nil {
		s.Concurrency = int(c.MaxConcurrency)
		if c.MinScale != nil {
			s.MinScale = int(*c.MinScale)
		}
		if c.MaxScale != nil {
			s.MaxScale = int(*c.MaxScale)
		}
	}
	return s
}

// functionEnv is what every function finds in its environment: where the platform and its sink are, and how telemetry is set up.
func (p *platform) functionEnv() map[string]string {
	env := map[string]string{"OAAS_URL": p.url, "OAAS_HOST": "127.0.0.1", "K_SINK": p.url + "/events"}
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "OTEL_") || name == "K_SINK" || name == "K_CE_OVERRIDES" {
			env[name] = value
		}
	}
	return env
}

// containerEnv is what function containers find in addition: where they reach their data.
func (p *platform) containerEnv() map[string]string {
	if p.zenoh == "" {
		return nil
	}
	return map[string]string{"OPRC_ZENOH_MODE": "client", "OPRC_ZENOH_PEERS": p.zenoh}
}

// start brings up the functions of a deployment that are not running already just so. The undo that it gives puts back what was there.
func (p *platform) start(ctx context.Context, d, old *deployment, tell report) (undo func(), err error) {
	var replaced, modules []string
	undo = func() {
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer done()
		p.putBack(ctx, replaced, old)
		p.putBackModules(ctx, modules, old)
	}
	for i := range d.Package.Functions {
		f := &d.Package.Functions[i]
		name := d.Package.Name + "-" + f.Key
		d.slots[name] = newSlot(name)
		if s := slotsOf(old)[name]; s != nil {
			d.slots[name] = s
		}
		if !project.Local(f) {
			continue
		}
		if f.IsWasm() {
			started, err := p.startModule(ctx, d, old, f, tell)
			if err != nil {
				return undo, err
			}
			if started {
				modules = append(modules, name)
			}
			continue
		}
		spec := p.spec(d.Package, f, d.Builds[f.Key])
		d.specs[name] = spec
		if running, ok := p.runner.Function(name); ok && old != nil && reflect.DeepEqual(old.specs[name], spec) && running.Revision() != "" {
			continue
		}
		begun := time.Now()
		if _, err := p.runner.Deploy(ctx, spec); err != nil {
			if _, had := specOf(old, name); !had {
				replaced = append(replaced, name) // the runner still knows it, though it serves nothing
			}
			return undo, err
		}
		replaced = append(replaced, name)
		tell(control.Progress{Step: control.StepStart, Function: f.Key, Millis: time.Since(begun).Milliseconds()})
	}
	return undo, nil
}

// putBack undoes the start of functions.
func (p *platform) putBack(ctx context.Context, names []string, old *deployment) {
	for _, name := range names {
		var err error
		if spec, had := specOf(old, name); had {
			if f, ok := p.runner.Function(name); ok && f.Revision() != "" {
				_, err = p.runner.Deploy(ctx, spec)
			}
		} else {
			err = p.dropFunction(ctx, name)
		}
		if err != nil {
			p.problem(control.Activity{Function: name, Message: "put back what was there before: " + err.Error()})
		}
	}
}

func specOf(d *deployment, name string) (runner.Spec, bool) {
	if d == nil {
		return runner.Spec{}, false
	}
	s, ok := d.specs[name]
	return s, ok
}

// activate makes the classes of a deployment known to the grid and remembers it.
func (p *platform) activate(ctx context.Context, d, old *deployment, tell report) error {
	targets, err := p.targets(d)
	if err != nil {
		return err
	}
	if d.classes, err = p.translate(d); err != nil {
		return err
	}
	defer p.grid.Hold()() // an event must find all classes of the package
	begun := time.Now()
	for i, c := range d.classes {
		if err := p.grid.Deploy(ctx, c); err != nil {
			p.putBackClasses(context.WithoutCancel(ctx), d.classes[:i], old)
			return err
		}
	}
	tell(control.Progress{
		Step: control.StepDeploy, Message: strings.Join(classNames(d.classes), ", "), Millis: time.Since(begun).Milliseconds(),
	})
	d.Deployed = time.Now().UTC()
	if err := p.remember(d); err != nil {
		p.putBackClasses(context.WithoutCancel(ctx), d.classes, old)
		return err
	}
	for name, target := range targets {
		d.slots[name].fill(target)
	}
	return nil
}

// translate makes the classes of a deployment, bound to its slots.
func (p *platform) translate(d *deployment) ([]odgm.Class, error) {
	return Translate(d.Package, func(key string) (http.RoundTripper, string) {
		name := d.Package.Name + "-" + key
		return d.slots[name], "http://" + name + "/"
	})
}

// targets gives where the calls of a deployment's functions go.
func (p *platform) targets(d *deployment) (map[string]http.RoundTripper, error) {
	targets := map[string]http.RoundTripper{}
	for i := range d.Package.Functions {
		f := &d.Package.Functions[i]
		name := d.Package.Name + "-" + f.Key
		if !project.Local(f) {
			target, err := newRemote(f)
			if err != nil {
				return nil, err
			}
			targets[name] = target
			continue
		}
		if module, ok := p.modules.Function(name); ok && f.IsWasm() {
			targets[name] = module
			continue
		}
		running, ok := p.runner.Function(name)
		if !ok {
			return nil, fault.New(fault.FunctionUnavailable, "function %s went away while it was deployed", name)
		}
		targets[name] = running
	}
	return targets, nil
}

// putBackClasses undoes the deployment of classes.
func (p *platform) putBackClasses(ctx context.Context, changed []odgm.Class, old *deployment) {
	for _, c := range changed {
		var err error
		if i := indexOf(old, c.Name); i >= 0 {
			err = p.grid.Deploy(ctx, old.classes[i])
		} else {
			err = p.grid.Undeploy(ctx, c.Name, false)
		}
		if err != nil {
			p.problem(control.Activity{Class: c.Name, Message: "put back what was there before: " + err.Error()})
		}
	}
}

func indexOf(d *deployment, class string) int {
	if d == nil {
		return -1
	}
	return slices.IndexFunc(d.classes, func(c odgm.Class) bool { return c.Name == class })
}

// retire takes away what the deployment before had and the new one has not: classes (their objects stay on disk) and functions.
func (p *platform) retire(ctx context.Context, d, old *deployment) {
	if old == nil {
		return
	}
	var errs []error
	for _, c := range old.classes {
		if indexOf(d, c.Name) < 0 {
			errs = append(errs, p.grid.Undeploy(ctx, c.Name, false))
		}
	}
	for name := range old.specs {
		if _, stays := d.specs[name]; !stays {
			errs = append(errs, p.dropFunction(ctx, name))
		}
	}
	errs = append(errs, p.retireModules(ctx, d, old))
	p.disown(d.Package.Name, d.slots)
	if old.Dir != d.Dir {
		p.unwatch(old.Dir)
	}
	if err := errors.Join(errs...); err != nil {
		p.problem(control.Activity{Package: d.Package.Name, Message: fmt.Sprintf("take away what is no longer in the package: %v", err)})
	}
}

func classNames(classes []odgm.Class) []string {
	names := make([]string, len(classes))
	for i, c := range classes {
		names[i] = c.Name
	}
	return names
}

// problem records something that somebody should look at.
func (p *platform) problem(a control.Activity) {
	a.Kind = control.KindError
	p.activity.add(a)
}
