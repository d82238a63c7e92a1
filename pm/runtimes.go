package pm

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

// surroundings is what runs in all environments at a moment, by environment and unit.
type surroundings struct {
	units map[string]map[string]Runtime
	// silent has why an environment did not answer.
	silent map[string]error
}

// lookAround asks all environments at once.
func (m *Manager) lookAround(ctx context.Context) surroundings {
	s := surroundings{units: map[string]map[string]Runtime{}, silent: map[string]error{}}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, env := range m.opt.Environments {
		all.Go(func() {
			list, err := env.Runtimes(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				s.silent[env.Name()] = err
				return
			}
			units := make(map[string]Runtime, len(list))
			for _, r := range list {
				units[r.ID] = r
			}
			s.units[env.Name()] = units
		})
	}
	all.Wait()
	return s
}

// lacks reports whether an environment that answered does not know a unit of a deployment.
func (s surroundings) lacks(r *deploymentRecord) bool {
	for env, id := range r.Units {
		units, answered := s.units[env]
		if _, known := units[id]; answered && !known {
			return true
		}
	}
	return false
}

// worst is how conditions rank: the worst of its units is that of a deployment.
var worst = []opackage.DeploymentCondition{opackage.Down, opackage.Deploying, opackage.Pending, opackage.Running}

var conditions = map[string]opackage.DeploymentCondition{
	ConditionPending: opackage.Pending, ConditionDeploying: opackage.Deploying, ConditionRunning: opackage.Running,
	ConditionDown: opackage.Down, ConditionDeleted: opackage.Down, ConditionUnknown: opackage.Pending,
}

// refresh gives the document of a deployment with the condition that its units have now, and why it is not running.
func (s surroundings) refresh(r *deploymentRecord) *opackage.Deployment {
	d := *r.Deployment
	if r.Pending {
		return &d
	}
	at := len(worst) - 1
	var reasons []string
	for _, env := range d.TargetEnvs {
		condition, reason := s.condition(env, r.Units[env])
		at = min(at, slices.Index(worst, condition))
		if reason != "" {
			reasons = append(reasons, reason)
		}
	}
	d.Condition = worst[at]
	if d.Status != nil {
		status := *d.Status
		status.LastError = nil
		if len(reasons) > 0 {
			status.LastError = new(strings.Join(reasons, "; "))
		}
		d.Status = &status
	}
	return &d
}

func (s surroundings) condition(env, id string) (opackage.DeploymentCondition, string) {
	if err := s.silent[env]; err != nil {
		return opackage.Pending, "environment " + env + " does not answer: " + err.Error()
	}
	runtime, known := s.units[env][id]
	if !known {
		return opackage.Down, "environment " + env + " does not know the unit " + id + "; deploy it again"
	}
	if runtime.Status == nil {
		return opackage.Pending, ""
	}
	condition := conditions[runtime.Status.Condition]
	if condition == "" {
		condition = opackage.Pending
	}
	if condition == opackage.Running || runtime.Status.Message == nil {
		return condition, ""
	}
	return condition, *runtime.Status.Message
}

// RuntimeFilter narrows a list of runtimes; the zero value takes all.
type RuntimeFilter struct {
	// Environment is the Package Manager's name of one.
	Environment string
	// Status is a condition, or the text of the status.
	Status string
	// PackageName and ClassKey are those of the class; the latter with or without its package.
	PackageName, ClassKey string
}

func (f *RuntimeFilter) takes(r *Runtime) bool {
	_, class, _ := opackage.SplitClassName(r.ClassKey)
	switch {
	case f.PackageName != "" && f.PackageName != r.PackageName,
		f.ClassKey != "" && f.ClassKey != r.ClassKey && f.ClassKey != class:
		return false
	case f.Status == "":
		return true
	case r.Status == nil:
		return false
	}
	return strings.EqualFold(f.Status, r.Status.Condition) || r.Status.Message != nil && f.Status == *r.Status.Message
}

// Runtimes gives the runtimes in all environments, or in one. Environments that do not answer are left out, unless it is the one that was asked for.
func (m *Manager) Runtimes(ctx context.Context, f RuntimeFilter) ([]Runtime, error) {
	if f.Environment != "" && m.environment(f.Environment) == nil {
		return nil, m.unknownEnvironment(f.Environment)
	}
	around := m.lookAround(ctx)
	if err := around.silent[f.Environment]; err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "environment %s", f.Environment)
	}
	list := []Runtime{}
	for _, env := range m.opt.Environments {
		if f.Environment != "" && f.Environment != env.Name() {
			continue
		}
		for _, r := range sortedRuntimes(around.units[env.Name()]) {
			r.ClusterName = new(env.Name())
			if f.takes(&r) {
				list = append(list, r)
			}
		}
	}
	return list, nil
}

func sortedRuntimes(units map[string]Runtime) []Runtime {
	list := make([]Runtime, 0, len(units))
	for _, r := range units {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Runtime) int { return strings.Compare(a.ID, b.ID) })
	return list
}

func (m *Manager) unknownEnvironment(name string) error {
	return fault.New(fault.InvalidArgument, "Invalid env: %s; known are %s", name, strings.Join(m.environmentNames(), ", "))
}

// Runtime gives the runtime of a unit, or of the first unit of a deployment, in one environment or wherever it is.
func (m *Manager) Runtime(ctx context.Context, id, env string) (*Runtime, error) {
	list, err := m.Runtimes(ctx, RuntimeFilter{Environment: env})
	if err != nil {
		return nil, err
	}
	units, err := m.Units(ctx, id)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if r := &list[i]; r.ID == id || units[*r.ClusterName] == r.ID {
			return r, nil
		}
	}
	return nil, fault.New(fault.NotFound, "Class runtime not found: %s", id)
}

// EnvironmentHealth is how an environment of that name stands.
type EnvironmentHealth struct {
	Name   string `json:"name"`
	Health Health `json:"health"`
	// GatewayURL is where objects and methods of the environment are reached, if it is known.
	GatewayURL string `json:"gateway_url,omitempty"`
}

// Environments gives all environments with how they stand, asked at once.
func (m *Manager) Environments(ctx context.Context) []EnvironmentHealth {
	list := make([]EnvironmentHealth, len(m.opt.Environments))
	var all sync.WaitGroup
	for i, env := range m.opt.Environments {
		all.Go(func() {
			list[i] = EnvironmentHealth{Name: env.Name(), Health: m.health(ctx, env)}
			if g, ok := env.(gateway); ok {
				list[i].GatewayURL = g.GatewayURL()
			}
		})
	}
	all.Wait()
	return list
}

// Health says how one environment stands.
func (m *Manager) Health(ctx context.Context, name string) (Health, error) {
	env := m.environment(name)
	if env == nil {
		return Health{}, fault.New(fault.NotFound, "Cluster not found: %s", name)
	}
	return m.health(ctx, env), nil
}

func (m *Manager) health(ctx context.Context, env Environment) Health {
	h, err := env.Health(ctx)
	if err != nil {
		m.log.Warn("environment does not answer", "environment", env.Name(), "error", err)
		return Health{ClusterName: env.Name(), Status: UnknownHealth, LastSeen: m.timestamp()}
	}
	return h
}

func (m *Manager) timestamp() string { return m.now().UTC().Format(timeFormat) }
