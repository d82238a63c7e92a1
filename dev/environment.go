package dev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/dev/project"
	"github.com/hpcclab/oaas-go/pm"
)

// environmentName is the name of this machine where environments are listed.
const environmentName = "local-dev"

// environment is the platform as an environment of its Package Manager. All classes of a package are served from one document, the one that was
// deployed last.
type environment struct{ p *platform }

var _ pm.Environment = environment{}

// Name implements pm.Environment.
func (e environment) Name() string { return environmentName }

// GatewayURL is where the gateway of this machine is.
func (e environment) GatewayURL() string { return e.p.url }

// Deploy implements pm.Environment. Until everything of the units has started, what was there before keeps serving; when something fails, it goes on
// serving.
func (e environment) Deploy(ctx context.Context, units []pm.Unit, tell func(pm.Step)) error {
	p := e.p
	name := units[0].Package.Name
	release, err := p.claim(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	old := p.project(name)
	next := p.combine(units, old)
	if err := runnable(next); err != nil {
		return err
	}
	report := func(s control.Progress) {
		tell(pm.Step{Name: s.Step, Function: s.Function, Message: s.Message, Took: time.Duration(s.Millis) * time.Millisecond})
	}
	if err := p.bringUp(ctx, next, old, report); err != nil {
		p.disown(name, slotsOf(old))
		if old != nil {
			p.mu.Lock()
			old.failure = err.Error()
			p.mu.Unlock()
		}
		return err
	}
	return nil
}

// combine makes the deployment of a package of new units and of those that it has already.
func (p *platform) combine(units []pm.Unit, old *deployment) *deployment {
	document := *units[0].Package
	document.Deployments = nil
	d := newDeployment(remembered{Dir: units[0].Origin, Package: &document, Units: map[string]rememberedUnit{}})
	created := map[string]time.Time{}
	if old != nil {
		for key, u := range old.Units {
			created[u.ID] = u.Created
			kept := func(d opackage.Deployment) bool { return d.Key == key }
			i := slices.IndexFunc(old.Package.Deployments, kept)
			replaced := slices.ContainsFunc(units, func(u pm.Unit) bool { return u.Deployment.Key == key })
			if i >= 0 && !replaced && document.Class(old.Package.Deployments[i].ClassKey) != nil {
				document.Deployments = append(document.Deployments, old.Package.Deployments[i])
				d.Units[key] = u
			}
		}
	}
	for _, u := range units {
		document.Deployments = append(document.Deployments, *u.Deployment)
		at := created[u.ID]
		if at.IsZero() {
			at = time.Now().UTC()
		}
		d.Units[u.Deployment.Key] = rememberedUnit{ID: u.ID, Created: at}
	}
	if d.Dir == "" {
		document.Functions = usedFunctions(&document)
	}
	return d
}

// usedFunctions gives the functions of the classes that are deployed.
func usedFunctions(p *opackage.Package) []opackage.Function {
	used := map[string]bool{}
	for _, d := range p.Deployments {
		for _, b := range p.Class(d.ClassKey).Bindings {
			used[b.FunctionKey] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(p.Functions), func(f opackage.Function) bool { return !used[f.Key] })
}

// runnable refuses functions that a document without a folder does not say how to run here.
func runnable(d *deployment) error {
	var problems []string
	for i := range d.Package.Functions {
		f := &d.Package.Functions[i]
		if why := unrunnable(f, d.Dir); why != "" {
			problems = append(problems, fmt.Sprintf("function %s %s", f.Key, why))
		}
	}
	if len(problems) > 0 {
		return fault.New(fault.InvalidArgument, "environment %s cannot run the package: %s", environmentName, strings.Join(problems, "; "))
	}
	return nil
}

func unrunnable(f *opackage.Function, dir string) string {
	switch {
	case !project.Local(f) || dir != "" && (f.Source != "" || f.Runtime != "" || len(f.Command) > 0):
		return ""
	case filepath.IsAbs(f.Source) || isModule(f, dir):
		return ""
	case f.Source != "" && dir == "":
		return fmt.Sprintf("has the source %q, but a document has no folder that it could be relative to; give an absolute path, or deploy the folder with: oaas func deploy DIR", f.Source)
	case f.Provision != nil && f.Provision.ContainerImage != nil:
		return "has only a container image, which oaas dev does not run; give it source:, or url: if it runs elsewhere"
	case dir == "":
		return "has nothing to run; give it url:, or an absolute source:"
	}
	return ""
}

// isModule reports whether a function is a WebAssembly module that can be found: at a URL, by an absolute path, or in a folder.
func isModule(f *opackage.Function, dir string) bool {
	if f.Provision == nil || f.Provision.WasmModuleURL == nil {
		return false
	}
	at := *f.Provision.WasmModuleURL
	return dir != "" || strings.Contains(at, "://") || filepath.IsAbs(at)
}

// Delete implements pm.Environment.
func (e environment) Delete(ctx context.Context, ids []string, purge bool) error {
	var errs []error
	for _, d := range e.p.deployments() {
		if slices.ContainsFunc(ids, d.hasUnit) {
			errs = append(errs, e.p.end(ctx, d.Package.Name, ids, purge))
		}
	}
	return errors.Join(errs...)
}

func (d *deployment) hasUnit(id string) bool {
	for _, u := range d.Units {
		if u.ID == id {
			return true
		}
	}
	return false
}

// end ends units of a package. With its last unit all of the package goes.
func (p *platform) end(ctx context.Context, pkg string, ids []string, purge bool) error {
	release, err := p.claim(ctx, pkg)
	if err != nil {
		return err
	}
	defer release()
	old := p.project(pkg)
	if old == nil {
		return nil
	}
	d := *old
	d.Units = maps.Clone(old.Units)
	maps.DeleteFunc(d.Units, func(_ string, u rememberedUnit) bool { return slices.Contains(ids, u.ID) })
	if len(d.Units) == 0 {
		return p.remove(ctx, old, purge)
	}
	document := *old.Package
	document.Deployments = slices.DeleteFunc(slices.Clone(document.Deployments), func(x opackage.Deployment) bool {
		_, stays := d.Units[x.Key]
		return !stays
	})
	d.Package = &document
	if d.classes, err = p.translate(&d); err != nil {
		return err
	}
	if err := p.remember(&d); err != nil {
		return err
	}
	// From here on there is no way back, so it is done whatever becomes of the caller.
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, c := range old.classes {
		if indexOf(&d, c.Name) < 0 {
			errs = append(errs, p.grid.Undeploy(ctx, c.Name, purge))
		}
	}
	return errors.Join(errs...)
}

// Runtimes implements pm.Environment.
func (e environment) Runtimes(context.Context) ([]pm.Runtime, error) {
	var list []pm.Runtime
	for _, d := range e.p.deployments() {
		functions := e.p.functionsOf(&d)
		for i := range d.Package.Deployments {
			list = append(list, e.p.runtime(&d, &d.Package.Deployments[i], functions))
		}
	}
	slices.SortFunc(list, func(a, b pm.Runtime) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// available is the summary of a runtime in which all is well, as clients of OaaS-RS know it.
const available = "Available"

func (p *platform) runtime(d *deployment, unit *opackage.Deployment, functions []control.Function) pm.Runtime {
	class := d.Package.ClassName(unit.ClassKey)
	u := d.Units[unit.Key]
	updated := d.Deployed.Format(time.RFC3339Nano)
	status := &pm.RuntimeStatus{
		Condition: pm.ConditionRunning, Phase: pm.PhaseRunning, Message: new(available), LastUpdated: updated,
	}
	for _, f := range functions {
		if slices.ContainsFunc(f.Methods, func(b control.Binding) bool { return b.Class == class }) {
			status.Functions = append(status.Functions, functionStatus(f))
			worsen(status, f)
		}
	}
	if _, err := p.grid.Class(class); err != nil {
		status.Condition, status.Phase, status.Message = pm.ConditionDown, pm.PhaseFailed, new(cmp.Or(d.failure, err.Error()))
	}
	partitions := uint32(1)
	if unit.Odgm != nil && unit.Odgm.PartitionCount != nil {
		partitions = *unit.Odgm.PartitionCount
	}
	return pm.Runtime{
		ID: u.ID, DeploymentUnitID: u.ID, PackageName: d.Package.Name, ClassKey: class, TargetEnvironment: environmentName,
		Status: status, ResourceRefs: []pm.ResourceRef{}, CreatedAt: u.Created.Format(time.RFC3339Nano), UpdatedAt: updated, PartitionCount: partitions,
	}
}

// worsen lets the state of a function show in that of its class.
func worsen(s *pm.RuntimeStatus, f control.Function) {
	switch {
	case f.State == stateFailing:
		s.Condition, s.Phase, s.Message = pm.ConditionDown, pm.PhaseFailed, new("function "+f.Name+" fails: "+f.Failure)
	case f.State == stateStarting && s.Condition == pm.ConditionRunning:
		s.Condition, s.Phase, s.Message = pm.ConditionDeploying, pm.PhaseProvisioning, new("function "+f.Name+" is starting")
	}
}

func functionStatus(f control.Function) pm.FunctionStatus {
	s := pm.FunctionStatus{
		FunctionKey: f.Key, Service: f.Name, PredictedURL: "http://" + f.Name + "/", Template: f.Runtime,
		Ready: new(f.State != stateFailing && f.State != stateStarting), Reason: new(f.State),
	}
	if f.URL != "" {
		s.PredictedURL, s.ObservedURL = f.URL, &f.URL
	}
	if f.Failure != "" {
		s.Message = &f.Failure
	}
	return s
}

// Health implements pm.Environment.
func (e environment) Health(context.Context) (pm.Health, error) {
	h := pm.Health{
		ClusterName: environmentName, Status: pm.Healthy, CRMVersion: &e.p.cfg.Version, LastSeen: time.Now().UTC().Format(time.RFC3339Nano),
		NodeCount: new(uint32(1)), ReadyNodes: new(uint32(1)),
	}
	if e.p.grid.Ready() != nil {
		h.Status, h.ReadyNodes = pm.Unhealthy, new(uint32(0))
	}
	return h, nil
}
