package dev

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/dev/project"
)

// restore serves again what was deployed when the platform ended. Classes and objects are there when it returns; functions start meanwhile, and
// calls wait for them. What cannot be served is reported and left as it is on disk.
func (p *platform) restore(ctx context.Context) error {
	if err := p.migrate(ctx); err != nil {
		return err
	}
	list, err := loadProjects(ctx, p.store)
	if err != nil {
		return err
	}
	defer p.grid.Hold()() // an event must find the classes of all projects
	for _, r := range list {
		d, err := p.restoreProject(ctx, r)
		if err != nil {
			p.problem(control.Activity{
				Package: r.Package.Name, Message: fmt.Sprintf("serve %s again: %v", r.Package.Name, err), Hint: deployHint(&r),
			})
			d.failure = err.Error()
		}
		p.mu.Lock()
		p.projects[r.Package.Name] = d
		p.mu.Unlock()
		p.work.Go(func() { p.restart(p.stopping, d) })
	}
	p.work.Go(func() {
		if err := p.manager.Reconcile(p.stopping); err != nil && p.stopping.Err() == nil {
			p.problem(control.Activity{Message: fmt.Sprintf("finish what was being deployed: %v", err), Hint: "deploy it again, or delete the deployment"})
		}
	})
	return nil
}

// restoreProject makes the classes of a project known. The deployment is given also when that fails.
func (p *platform) restoreProject(ctx context.Context, r remembered) (*deployment, error) {
	d := newDeployment(r)
	var names []string
	for i := range r.Package.Functions {
		f := &r.Package.Functions[i]
		name := r.Package.Name + "-" + f.Key
		names = append(names, name)
		d.slots[name] = newSlot(name)
		if f.IsWasm() {
			d.modules[name] = moduleSpecOf(f, r.Builds[f.Key])
			continue
		}
		if project.Local(f) {
			d.specs[name] = p.spec(r.Package, f, r.Builds[f.Key])
			continue
		}
		target, err := newRemote(f)
		if err != nil {
			return d, err
		}
		d.slots[name].fill(target)
	}
	if err := p.own(r.Package.Name, names); err != nil {
		return d, err
	}
	var err error
	if d.classes, err = p.translate(d); err != nil {
		return d, err
	}
	for _, c := range d.classes {
		if err := p.grid.Deploy(ctx, c); err != nil {
			return d, err
		}
	}
	return d, nil
}

// restart starts the functions of a restored project, then brings it up to date with its source.
func (p *platform) restart(ctx context.Context, d *deployment) {
	release, err := p.claim(ctx, d.Package.Name)
	if err != nil {
		return // the platform is stopping
	}
	var starts sync.WaitGroup
	var failed atomic.Bool
	start := func(name string, deploy func() (http.RoundTripper, error)) {
		starts.Go(func() {
			f, err := deploy()
			if err == nil {
				d.slots[name].fill(f)
				return
			}
			failed.Store(true)
			d.slots[name].fail(err)
			if ctx.Err() == nil {
				p.problem(control.Activity{Function: name, Package: d.Package.Name, Message: err.Error()})
			}
		})
	}
	for name, spec := range d.specs {
		start(name, func() (http.RoundTripper, error) { return p.runner.Deploy(ctx, spec) })
	}
	for name, s := range d.modules {
		start(name, func() (http.RoundTripper, error) { return p.deployModule(ctx, name, s) })
	}
	starts.Wait()
	release()
	if ctx.Err() != nil || d.Dir == "" {
		return
	}
	seen := d.Source
	if failed.Load() || d.failure != "" {
		seen = "" // build it anew: perhaps its builds were removed, or its tools have moved
	}
	w, err := p.watch(d.Dir, seen)
	if err != nil {
		p.problem(control.Activity{Package: d.Package.Name, Message: fmt.Sprintf("watch %s: %v", d.Dir, err)})
		return
	}
	w.check()
}

// reload deploys a folder whose source has changed, and tells how it went. It gives the fingerprint of the source as it was built, "" if that failed.
func (p *platform) reload(ctx context.Context, dir string) (source string) {
	begun := time.Now()
	p.activity.add(control.Activity{Kind: control.KindReload, Message: "building " + dir})
	d, err := p.deploy(ctx, dir, func(done control.Progress) {
		if strings.HasPrefix(done.Message, "warning: ") {
			p.activity.add(control.Activity{Kind: control.KindReload, Message: done.Message})
		}
	})
	if ctx.Err() != nil {
		return ""
	}
	if err != nil {
		p.problem(control.Activity{Message: err.Error(), Hint: "what was deployed before keeps serving; save the file again when it is mended"})
		return ""
	}
	p.activity.add(control.Activity{
		Kind: control.KindReload, Package: d.Package.Name, Message: "deployed from " + dir, Millis: millis(time.Since(begun)),
	})
	return d.Source
}
