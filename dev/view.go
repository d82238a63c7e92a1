package dev

import (
	"maps"
	"slices"
	"strings"

	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/dev/project"
	"github.com/hpcclab/oaas-go/runtime/runner"
)

// States of functions, as the control API names them.
const (
	stateIdle     = "idle"
	stateStarting = "starting"
	stateReady    = "ready"
	stateFailing  = "failing"
	stateExternal = "external"
)

// deployments gives what is deployed, in the order of the packages' names. The values are copies.
func (p *platform) deployments() []deployment {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]deployment, 0, len(p.projects))
	for _, name := range slices.Sorted(maps.Keys(p.projects)) {
		list = append(list, *p.projects[name])
	}
	return list
}

// functions gives all functions with the state of their instances.
func (p *platform) functions() []control.Function {
	list := []control.Function{}
	for _, d := range p.deployments() {
		list = append(list, p.functionsOf(&d)...)
	}
	return list
}

// projectList gives all projects.
func (p *platform) projectList() []control.Project {
	list := []control.Project{}
	for _, d := range p.deployments() {
		view := control.Project{
			Package: d.Package.Name, Dir: d.Dir, Deployed: d.Deployed, Functions: p.functionsOf(&d), Classes: classesOf(&d), Error: d.failure,
		}
		if d.Package.Version != nil {
			view.Version = *d.Package.Version
		}
		list = append(list, view)
	}
	return list
}

func (p *platform) functionsOf(d *deployment) []control.Function {
	list := []control.Function{}
	for i := range d.Package.Functions {
		f := &d.Package.Functions[i]
		name := d.Package.Name + "-" + f.Key
		view := control.Function{
			Name: name, Package: d.Package.Name, Key: f.Key, Runtime: "url", URL: f.URL, State: stateExternal,
			Contract: string(f.EffectiveContract()), Methods: bindingsOf(d.Package, f.Key),
		}
		if project.Local(f) {
			b := d.Builds[f.Key]
			proj := project.Project{Dir: d.Dir, Package: d.Package}
			view.Runtime, view.Build, view.Source = b.Runtime, b.Hash, proj.Source(f)
			p.addStatus(&view)
		}
		list = append(list, view)
	}
	return list
}

// addStatus adds how the instances of a function stand.
func (p *platform) addStatus(view *control.Function) {
	p.mu.Lock()
	if c := p.counts[view.Name]; c != nil {
		view.ColdStarts, view.Crashes = c.cold, c.crashes
	}
	p.mu.Unlock()
	view.State = stateStarting
	if m, ok := p.modules.Function(view.Name); ok {
		s := m.Status()
		view.State, view.Revision, view.Instances, view.InFlight = stateReady, s.Hash[:min(len(s.Hash), 16)], s.Instances, s.InFlight
		return
	}
	f, ok := p.runner.Function(view.Name)
	if !ok {
		return
	}
	s := f.Status()
	view.Revision, view.Instances, view.Starting, view.Queued, view.InFlight = s.Revision, s.Ready, s.Starting, s.Queued, s.InFlight
	if s.LastError != nil {
		view.Failure = failureText(s.LastError)
	}
	view.State = stateOf(s)
}

// stateOf gives one word for how a function stands.
func stateOf(s runner.Status) string {
	switch {
	case s.Ready > 0:
		return stateReady
	case s.LastError != nil && (s.Desired > 0 || s.Revision == ""):
		return stateFailing
	case s.Starting > 0 || s.Revision == "":
		return stateStarting
	}
	return stateIdle
}

// bindingsOf gives the methods that a function does.
func bindingsOf(p *opackage.Package, key string) []control.Binding {
	list := []control.Binding{}
	for i := range p.Classes {
		c := &p.Classes[i]
		for j := range c.Bindings {
			if b := &c.Bindings[j]; b.FunctionKey == key {
				list = append(list, control.Binding{
					Class: p.ClassName(c.Key), Method: b.Name, Stateless: b.Stateless, Readonly: b.IsReadonly(),
					Access: string(b.EffectiveAccess()),
				})
			}
		}
	}
	return list
}

func classesOf(d *deployment) []control.Class {
	list := []control.Class{}
	for _, served := range d.classes {
		view := control.Class{
			Name: served.Name, Engine: served.Engine, Partitions: max(1, served.Partitions),
			Methods: []control.Method{}, Triggers: []control.Trigger{}, Subscriptions: []control.Subscription{},
		}
		c := d.Package.Class(strings.TrimPrefix(served.Name, d.Package.Name+"."))
		for i := range c.Bindings {
			b := &c.Bindings[i]
			view.Methods = append(view.Methods, control.Method{
				Name: b.Name, Function: d.Package.Name + "-" + b.FunctionKey, Stateless: b.Stateless, Readonly: b.IsReadonly(),
			})
		}
		for i := range c.Triggers {
			t := &c.Triggers[i]
			on := string(t.On)
			if what := t.Entry + t.Method; what != "" {
				on += " " + what
			}
			view.Triggers = append(view.Triggers, control.Trigger{
				Name: t.Name, On: on, Condition: t.Condition, Target: targetText(d.Package, c, t),
			})
		}
		for _, s := range c.Subscriptions {
			view.Subscriptions = append(view.Subscriptions, control.Subscription{Type: s.Type, Source: s.Source, Method: s.Method})
		}
		list = append(list, view)
	}
	return list
}
