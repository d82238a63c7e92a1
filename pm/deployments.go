package pm

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

// DeploymentFilter narrows a list of deployments; the zero value takes all.
type DeploymentFilter struct{ PackageName, ClassKey, TargetEnv string }

func (f *DeploymentFilter) takes(d *opackage.Deployment) bool {
	return (f.PackageName == "" || f.PackageName == d.PackageName) && (f.ClassKey == "" || f.ClassKey == d.ClassKey) &&
		(f.TargetEnv == "" || slices.Contains(d.TargetEnvs, f.TargetEnv))
}

// Deployments gives the deployments in the order of their keys, with the condition that they have now.
func (m *Manager) Deployments(ctx context.Context, f DeploymentFilter) ([]*opackage.Deployment, error) {
	records, err := loadAll[deploymentRecord](ctx, m.store, deploymentPrefix)
	if err != nil {
		return nil, err
	}
	running := m.lookAround(ctx)
	list := make([]*opackage.Deployment, 0, len(records))
	for _, r := range records {
		if f.takes(r.Deployment) {
			list = append(list, running.refresh(r))
		}
	}
	return list, nil
}

// Deployment gives a deployment with the condition that it has now.
func (m *Manager) Deployment(ctx context.Context, key string) (*opackage.Deployment, error) {
	r, err := m.deploymentRecord(ctx, key)
	if err != nil {
		return nil, err
	}
	return m.lookAround(ctx).refresh(r), nil
}

func (m *Manager) deploymentRecord(ctx context.Context, key string) (*deploymentRecord, error) {
	r, err := load[deploymentRecord](ctx, m.store, deploymentPrefix+key)
	if err == nil && r == nil {
		err = fault.New(fault.NotFound, "Deployment not found: %s", key)
	}
	return r, err
}

func (m *Manager) deploymentsOf(ctx context.Context, name string) ([]*deploymentRecord, error) {
	all, err := loadAll[deploymentRecord](ctx, m.store, deploymentPrefix)
	return slices.DeleteFunc(all, func(d *deploymentRecord) bool { return d.Deployment.PackageName != name }), err
}

// Units gives the ids of a deployment's units by environment; an unknown deployment has none.
func (m *Manager) Units(ctx context.Context, key string) (map[string]string, error) {
	r, err := load[deploymentRecord](ctx, m.store, deploymentPrefix+key)
	if err != nil || r == nil {
		return map[string]string{}, err
	}
	return r.Units, nil
}

// Deploy brings up the class that d names, or brings it up to date if the key is known. It gives the id of the first environment's unit, and whether
// the deployment is new.
func (m *Manager) Deploy(ctx context.Context, d *opackage.Deployment) (id string, created bool, err error) {
	if d.PackageName == "" {
		return "", false, fault.New(fault.InvalidArgument, "package_name: must not be empty")
	}
	release, err := m.claims.take(ctx, d.PackageName)
	if err != nil {
		return "", false, err
	}
	defer release()
	pkg, err := m.packageRecord(ctx, d.PackageName)
	if err != nil {
		return "", false, err
	}
	old, err := m.checkDeployment(ctx, pkg.Package, d)
	if err != nil {
		return "", false, err
	}
	next, err := m.plan(ctx, pkg, *d, old)
	if err != nil {
		return "", false, err
	}
	r := &rollout{up: []*deploymentRecord{next}, before: recordsByKey(old), tell: func(Step) {}}
	if err := m.occupy(ctx, r); err != nil {
		return "", false, err
	}
	return next.Units[next.Deployment.TargetEnvs[0]], old == nil, m.roll(ctx, r)
}

// occupy records the intent of a rollout of one deployment, if its key and its class are free.
func (m *Manager) occupy(ctx context.Context, r *rollout) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkFree(ctx, r.up[0]); err != nil {
		return err
	}
	return m.intend(ctx, r)
}

func recordsByKey(records ...*deploymentRecord) map[string]*deploymentRecord {
	byKey := map[string]*deploymentRecord{}
	for _, r := range records {
		if r != nil {
			byKey[r.Deployment.Key] = r
		}
	}
	return byKey
}

// checkDeployment checks a deployment of a registered package, and gives the one that it takes the place of.
func (m *Manager) checkDeployment(ctx context.Context, p *opackage.Package, d *opackage.Deployment) (*deploymentRecord, error) {
	if d.ClassKey != "" && p.Class(d.ClassKey) == nil {
		// The missing quote is OaaS-RS's: clients may compare the text.
		return nil, fault.New(fault.InvalidArgument, "Class '%s' not found in package '%s", d.ClassKey, p.Name)
	}
	document := *p
	document.Deployments = []opackage.Deployment{*d}
	if err := m.validate(&document); err != nil {
		return nil, strip(err, "deployments[0].")
	}
	return load[deploymentRecord](ctx, m.store, deploymentPrefix+d.Key)
}

// checkFree refuses a key of another package, and a class that is deployed to the same environment by another key.
func (m *Manager) checkFree(ctx context.Context, next *deploymentRecord) error {
	all, err := loadAll[deploymentRecord](ctx, m.store, deploymentPrefix)
	if err != nil {
		return err
	}
	d := next.Deployment
	for _, other := range all {
		o := other.Deployment
		switch {
		case o.Key == d.Key && o.PackageName != d.PackageName:
			return fault.New(fault.AlreadyExists, "the deployment %s is one of package %s; choose another key", d.Key, o.PackageName)
		case o.Key == d.Key || o.PackageName != d.PackageName || o.ClassKey != d.ClassKey:
			continue
		}
		for _, env := range d.TargetEnvs {
			if other.Units[env] != "" {
				return fault.New(fault.AlreadyExists, "the class %s.%s is deployed to %s by deployment %s; use that key to update it, or delete it first",
					d.PackageName, d.ClassKey, env, o.Key)
			}
		}
	}
	return nil
}

// strip takes away the beginning of the paths of problems.
func strip(err error, prefix string) error {
	problems, ok := err.(opackage.ValidationErrors) //nolint:errorlint // Validate gives it as it is
	if !ok {
		return err
	}
	for i := range problems {
		problems[i].Path = strings.TrimPrefix(problems[i].Path, prefix)
		problems[i].Line, problems[i].Column = 0, 0 // those of another text
	}
	return problems
}

// Undeploy ends a deployment everywhere, and gives the environments that it was in. With purge its objects go too.
func (m *Manager) Undeploy(ctx context.Context, key string, purge bool) ([]string, error) {
	r, err := m.deploymentRecord(ctx, key)
	if err != nil {
		return nil, err
	}
	release, err := m.claims.take(ctx, r.Deployment.PackageName)
	if err != nil {
		return nil, err
	}
	defer release()
	if r, err = m.deploymentRecord(ctx, key); err != nil { // as it is now that it is ours
		return nil, err
	}
	return slices.Sorted(maps.Keys(r.Units)), m.end(ctx, []*deploymentRecord{r}, purge)
}
