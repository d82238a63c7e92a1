package pm

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"strings"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

// plan makes the record of a deployment: with everything decided, and with the units that it had where it stays.
func (m *Manager) plan(ctx context.Context, pkg *packageRecord, d opackage.Deployment, old *deploymentRecord) (*deploymentRecord, error) {
	document := *pkg.Package
	document.Deployments = []opackage.Deployment{d}
	effective := document.EffectiveDeployments()[0]
	envs, err := m.selectEnvironments(ctx, &d)
	if err != nil {
		return nil, err
	}
	count := uint32(len(envs))
	effective.TargetEnvs, effective.Odgm.ReplicaCount = envs, &count
	effective.Status = &opackage.DeploymentStatus{ReplicationFactor: count, SelectedEnvs: envs}
	if effective.Odgm.Log == nil {
		effective.Odgm.Log = new("info")
	}
	effective.Condition = opackage.Deploying
	effective.UpdatedAt = m.now().UTC()
	effective.CreatedAt = effective.UpdatedAt
	r := &deploymentRecord{
		Deployment: &effective, Revision: pkg.Revision, Package: pkg.Package, Origin: pkg.Origin, Units: map[string]string{}, Pending: true,
	}
	if old != nil {
		effective.CreatedAt = old.Deployment.CreatedAt
	}
	for _, env := range envs {
		if old != nil {
			r.Units[env] = old.Units[env]
		}
		if r.Units[env] == "" {
			r.Units[env] = UnitID(d.ClassKey)
		}
	}
	r.Leaving = leaving(r, old)
	return r, nil
}

// leaving gives the units of the deployment before that the new one has not.
func leaving(next, old *deploymentRecord) map[string]string {
	if old == nil {
		return nil
	}
	units := maps.Clone(old.Leaving)
	for env, id := range old.Units {
		if next.Units[env] == "" {
			if units == nil {
				units = map[string]string{}
			}
			units[env] = id
		}
	}
	return units
}

// selectEnvironments gives the names of the environments that a deployment goes to: those that it targets, or the healthy ones of those that it allows.
func (m *Manager) selectEnvironments(ctx context.Context, d *opackage.Deployment) ([]string, error) {
	var names, unknown []string
	for _, name := range d.TargetEnvs {
		if m.environment(name) == nil {
			unknown = append(unknown, name)
		}
		names = append(names, name)
	}
	if len(unknown) > 0 {
		return nil, fault.New(fault.InvalidArgument, "Invalid target envs: %s is not known; known are %s",
			strings.Join(unknown, ", "), strings.Join(m.environmentNames(), ", "))
	}
	if len(names) > 0 {
		return names, nil
	}
	for _, env := range m.opt.Environments {
		if len(d.AvailableEnvs) > 0 && !slices.Contains(d.AvailableEnvs, env.Name()) {
			continue
		}
		if h, err := env.Health(ctx); err == nil && h.Status == Healthy {
			names = append(names, env.Name())
		}
	}
	if len(names) == 0 {
		return nil, fault.New(fault.InvalidArgument, "Invalid target envs: none of %s is healthy and allowed by available_envs",
			strings.Join(m.environmentNames(), ", "))
	}
	return names, nil
}

func (m *Manager) environmentNames() []string {
	names := make([]string, len(m.opt.Environments))
	for i, e := range m.opt.Environments {
		names[i] = e.Name()
	}
	return names
}

// Bounds of unit ids, which become names of Kubernetes resources.
const (
	unitNameLen   = 54
	unitSuffixLen = 8
)

// UnitID makes a new id of a unit from the key of a class, in the way of OaaS-RS: the key as a DNS label, and eight random characters.
func UnitID(class string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, class)
	plain = strings.Trim(plain, "-")
	if plain == "" || plain[0] < 'a' {
		plain = "a" + plain
	}
	return plain[:min(len(plain), unitNameLen)] + "-" + strings.ToLower(rand.Text()[:unitSuffixLen])
}
