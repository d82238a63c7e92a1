package pm

import (
	"context"
	"errors"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

// Source gives a package with its deployments, and the folder that it was read from. It is asked when it is the package's turn to be changed.
type Source func() (p *opackage.Package, origin string, err error)

// Apply registers a package and brings up its deployments, all of it or nothing: those of the document, or one for each class when it has none. Other
// deployments of the package end.
func (m *Manager) Apply(ctx context.Context, name string, source Source, tell func(Step)) error {
	release, err := m.claims.take(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	p, origin, err := source()
	if err != nil {
		return err
	}
	if p.Name != name {
		return fault.New(fault.Conflict, "the package was renamed from %s to %s meanwhile; deploy again", name, p.Name)
	}
	r, err := m.prepare(ctx, p, origin)
	if err != nil {
		return err
	}
	r.tell = tell
	return m.roll(ctx, r)
}

// prepare plans what Apply does, and records it as the intent. The caller has the package's token.
func (m *Manager) prepare(ctx context.Context, p *opackage.Package, origin string) (*rollout, error) {
	if err := m.validate(p); err != nil {
		return nil, err
	}
	old, err := load[packageRecord](ctx, m.store, packagePrefix+p.Name)
	if err != nil {
		return nil, err
	}
	pkg, documents, err := m.version(ctx, old, p, origin)
	if err != nil {
		return nil, err
	}
	have, err := m.deploymentsOf(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	r := &rollout{before: recordsByKey(have...), documents: documents}
	for _, d := range p.EffectiveDeployments() {
		next, err := m.plan(ctx, pkg, d, r.before[d.Key])
		if err != nil {
			return nil, err
		}
		r.up = append(r.up, next)
	}
	wanted := recordsByKey(r.up...)
	for _, d := range have {
		if wanted[d.Deployment.Key] == nil {
			delete(r.before, d.Deployment.Key)
			r.down = append(r.down, d)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkDependencies(ctx, p); err != nil {
		return nil, err
	}
	if err := m.checkKeys(ctx, p.Name, wanted); err != nil {
		return nil, err
	}
	return r, m.intend(ctx, r)
}

// checkKeys refuses keys of deployments that other packages have.
func (m *Manager) checkKeys(ctx context.Context, name string, wanted map[string]*deploymentRecord) error {
	for key := range wanted {
		other, err := load[deploymentRecord](ctx, m.store, deploymentPrefix+key)
		if err != nil {
			return err
		}
		if other != nil && other.Deployment.PackageName != name {
			return fault.New(fault.AlreadyExists, "the deployment %s is one of package %s; choose another key", key, other.Deployment.PackageName)
		}
	}
	return nil
}

// Remove ends the deployments of a package and removes it, unless others depend on it. With purge its objects go too.
func (m *Manager) Remove(ctx context.Context, name string, purge bool) error {
	release, err := m.claims.take(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	if _, err := m.packageRecord(ctx, name); err != nil {
		return err
	}
	if err := m.checkDependents(ctx, name); err != nil {
		return err
	}
	deployments, err := m.deploymentsOf(ctx, name)
	if err != nil {
		return err
	}
	return m.remove(ctx, name, deployments, purge)
}

// Adopt records a package and units of it that run in an environment already, by the keys of their deployments. It is for what was deployed before
// there was a manager.
func (m *Manager) Adopt(ctx context.Context, env string, p *opackage.Package, origin string, units map[string]string) error {
	pkg, changes, err := m.version(ctx, nil, p, origin)
	if err != nil {
		return err
	}
	for _, d := range p.EffectiveDeployments() {
		d.TargetEnvs = []string{env}
		r, err := m.plan(ctx, pkg, d, nil)
		if err != nil {
			return err
		}
		r.Units[env], r.Pending, r.Deployment.Condition = units[d.Key], false, opackage.Running
		change, err := set(deploymentPrefix+d.Key, r)
		if err != nil {
			return err
		}
		changes = append(changes, change)
	}
	return m.write(ctx, changes...)
}

// Reconcile finishes what a crash interrupted: it brings up deployments that environments do not know or that were being changed, and ends those that
// were being deleted. It goes on after failures and gives them all.
func (m *Manager) Reconcile(ctx context.Context) error {
	records, err := loadAll[deploymentRecord](ctx, m.store, deploymentPrefix)
	if err != nil {
		return err
	}
	running := m.lookAround(ctx)
	var errs []error
	for _, r := range records {
		if r.Pending || len(r.Leaving) > 0 || running.lacks(r) {
			errs = append(errs, m.finish(ctx, r.Deployment.PackageName, r.Deployment.Key))
		}
	}
	return errors.Join(errs...)
}

// finish brings one deployment to what its record says.
func (m *Manager) finish(ctx context.Context, name, key string) error {
	release, err := m.claims.take(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	r, err := load[deploymentRecord](ctx, m.store, deploymentPrefix+key)
	if err != nil || r == nil {
		return err
	}
	if r.Pending && r.Deployment.Condition == opackage.Deleted {
		return m.end(ctx, []*deploymentRecord{r}, false)
	}
	up := rollout{up: []*deploymentRecord{r}, tell: func(Step) {}}
	for _, env := range m.opt.Environments {
		if units := unitsIn(env.Name(), up.up); len(units) > 0 {
			if err := env.Deploy(ctx, units, up.tell); err != nil {
				return named(env, len(m.opt.Environments), err)
			}
		}
	}
	return m.settle(ctx, &up)
}
