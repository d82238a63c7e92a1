package pm

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

// undoTimeout bounds how long putting things back may take after a rollout that failed.
const undoTimeout = 2 * time.Minute

// rollout is a change of what runs of one package.
type rollout struct {
	// up are the deployments to bring up, before is what is recorded of them now, by key.
	up     []*deploymentRecord
	before map[string]*deploymentRecord
	// down are deployments to end when the others are up.
	down []*deploymentRecord
	// documents are changes of the package's records that go along.
	documents []Change
	tell      func(Step)

	// back are the changes that take the intent back, once it is recorded.
	back []Change
}

// intend records what a rollout is going to do. The caller has the package's token, and mu since it checked that the rollout may be done.
func (m *Manager) intend(ctx context.Context, r *rollout) error {
	intent := slices.Clone(r.documents)
	for _, d := range r.up {
		change, err := set(deploymentPrefix+d.Deployment.Key, d)
		if err != nil {
			return err
		}
		intent = append(intent, change)
	}
	var err error
	if r.back, err = m.inverse(ctx, intent); err != nil {
		return err
	}
	return m.write(ctx, intent...)
}

// roll does a rollout whose intent is recorded: environments are changed, then what came of it is recorded; when an environment fails, those before it
// and the records are put back. The caller has the package's token.
func (m *Manager) roll(ctx context.Context, r *rollout) error {
	if err := m.bringUp(ctx, r); err != nil {
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer done()
		return errors.Join(err, m.write(ctx, r.back...))
	}
	// It runs; what is left is done whatever becomes of the caller.
	ctx = context.WithoutCancel(ctx)
	return errors.Join(m.settle(ctx, r), m.end(ctx, r.down, false))
}

// inverse makes the changes that take others back.
func (m *Manager) inverse(ctx context.Context, changes []Change) ([]Change, error) {
	back := make([]Change, 0, len(changes))
	for _, c := range changes {
		r, err := m.store.Get(ctx, c.Key)
		if err != nil {
			return nil, err
		}
		back = append(back, Change{Key: c.Key, Value: r.Value})
	}
	return back, nil
}

// bringUp changes the environments one after the other; when one fails, those before it get back what they had.
func (m *Manager) bringUp(ctx context.Context, r *rollout) error {
	var changed []Environment
	for _, env := range m.opt.Environments {
		units := unitsIn(env.Name(), r.up)
		if len(units) == 0 {
			continue
		}
		if err := env.Deploy(ctx, units, r.tell); err != nil {
			m.putBack(context.WithoutCancel(ctx), changed, r)
			return named(env, len(m.opt.Environments), err)
		}
		changed = append(changed, env)
	}
	return nil
}

// named says which of several environments failed.
func named(env Environment, of int, err error) error {
	if of == 1 {
		return err
	}
	return fault.Wrap(fault.From(err).Code, err, "environment %s", env.Name())
}

func unitsIn(env string, records []*deploymentRecord) []Unit {
	var units []Unit
	for _, d := range records {
		if id := d.Units[env]; id != "" {
			units = append(units, Unit{ID: id, Package: d.Package, Deployment: d.Deployment, Origin: d.Origin})
		}
	}
	return units
}

// putBack undoes the rollout in environments where it worked.
func (m *Manager) putBack(ctx context.Context, changed []Environment, r *rollout) {
	ctx, done := context.WithTimeout(ctx, undoTimeout)
	defer done()
	before := slices.Collect(maps.Values(r.before))
	for _, env := range changed {
		var fresh []string
		for _, d := range r.up {
			if old := r.before[d.Deployment.Key]; old == nil || old.Units[env.Name()] == "" {
				fresh = append(fresh, d.Units[env.Name()])
			}
		}
		var errs []error
		if len(fresh) > 0 {
			errs = append(errs, env.Delete(ctx, fresh, false))
		}
		if units := unitsIn(env.Name(), before); len(units) > 0 {
			errs = append(errs, env.Deploy(ctx, units, func(Step) {}))
		}
		if err := errors.Join(errs...); err != nil {
			m.log.Error("put back what was deployed before", "environment", env.Name(), "error", err)
		}
	}
}

// settle records that a rollout worked, and ends the units in environments that the deployments have left. Those that cannot be ended now stay in
// the record, for the next change or for Reconcile.
func (m *Manager) settle(ctx context.Context, r *rollout) error {
	var changes []Change
	for _, d := range r.up {
		d.Leaving = m.endLeaving(ctx, d.Leaving)
		d.Pending, d.Deployment.Condition = false, opackage.Running
		change, err := set(deploymentPrefix+d.Deployment.Key, d)
		if err != nil {
			return err
		}
		changes = append(changes, change)
	}
	return m.write(ctx, changes...)
}

// endLeaving ends units by environment, and gives those that are left. An environment that is no longer configured has nobody to ask.
func (m *Manager) endLeaving(ctx context.Context, units map[string]string) map[string]string {
	left := map[string]string{}
	for name, id := range units {
		env := m.environment(name)
		if env == nil {
			continue
		}
		if err := env.Delete(ctx, []string{id}, false); err != nil {
			m.log.Error("end a unit that its deployment has left", "environment", name, "unit", id, "error", err)
			left[name] = id
		}
	}
	if len(left) == 0 {
		return nil
	}
	return left
}

// end ends deployments: their records say so first, and go last, so that a crash leaves nothing that runs without a record.
func (m *Manager) end(ctx context.Context, records []*deploymentRecord, purge bool) error {
	if len(records) == 0 {
		return nil
	}
	var marks, removals []Change
	for _, d := range records {
		d.Pending, d.Deployment.Condition = true, opackage.Deleted
		mark, err := set(deploymentPrefix+d.Deployment.Key, d)
		if err != nil {
			return err
		}
		marks = append(marks, mark)
		removals = append(removals, Change{Key: mark.Key})
	}
	if err := m.write(ctx, marks...); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // there is no way back
	for _, env := range m.opt.Environments {
		var ids []string
		for _, d := range records {
			for _, units := range []map[string]string{d.Units, d.Leaving} {
				if id := units[env.Name()]; id != "" {
					ids = append(ids, id)
				}
			}
		}
		if len(ids) == 0 {
			continue
		}
		if err := env.Delete(ctx, ids, purge); err != nil {
			return named(env, len(m.opt.Environments), err)
		}
	}
	return m.write(ctx, removals...)
}
