// Package pm is the Package Manager: the registry of packages with their versions, and the service that deploys their classes to environments. It
// serves the REST interface of OaaS-RS's Package Manager.
//
// Guarantee: a document that was accepted is valid as a whole, and nothing that others depend on goes away under them. A deployment that fails leaves
// records and environments as they were; one that is repeated changes nothing; one that a crash interrupted is finished by [Manager.Reconcile]. What
// was acknowledged is in the [Store].
//
// The package knows neither where records are kept (Store) nor what runs units (Environment), so the same manager serves a laptop and a cluster.
package pm

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

// DefaultKeepVersions is how many versions of a package are kept.
const DefaultKeepVersions = 100

// Options are what a manager is made of. Store and Environments are required.
type Options struct {
	Store Store
	// Environments are where units run; the first one is the default.
	Environments []Environment
	// Logger gets what nobody waits for. Default: discard.
	Logger *slog.Logger
	// Validate are further checks of every document, as that of conditions.
	Validate []opackage.ValidateOption
	// KeepVersions is how many versions of a package are kept. Default: DefaultKeepVersions.
	KeepVersions int
	// ArtifactDir keeps uploaded modules; "" takes none.
	ArtifactDir string
	// ArtifactURL is the address under which environments get them, without the id; "" is relative to the server.
	ArtifactURL string
	// DeleteCascade has the deployments of a package deleted with it (PACKAGE_DELETE_CASCADE).
	DeleteCascade bool
	// Zenoh tells what the Zenoh network looks like; nil does not know.
	Zenoh ZenohView
}

// Manager is the Package Manager. Make one with New; it is safe for concurrent use.
type Manager struct {
	opt   Options
	log   *slog.Logger
	store Store
	now   func() time.Time

	// mu is held from the check of documents to the write of what depends on them, never while an environment works.
	mu sync.Mutex
	// claims has one token a package; who changes its documents or what runs of it has it. It is taken before mu.
	claims claims
}

// New makes a manager.
func New(opt Options) (*Manager, error) {
	switch {
	case opt.Store == nil:
		return nil, fmt.Errorf("package manager: no store")
	case len(opt.Environments) == 0:
		return nil, fmt.Errorf("package manager: no environment")
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.KeepVersions <= 0 {
		opt.KeepVersions = DefaultKeepVersions
	}
	return &Manager{opt: opt, log: opt.Logger, store: opt.Store, now: time.Now, claims: claims{tokens: map[string]*token{}}}, nil
}

// environment gives an environment by its name, or nil.
func (m *Manager) environment(name string) Environment {
	i := slices.IndexFunc(m.opt.Environments, func(e Environment) bool { return e.Name() == name })
	if i < 0 {
		return nil
	}
	return m.opt.Environments[i]
}

// claims are tokens by name, each held by one at a time.
type claims struct {
	mu     sync.Mutex
	tokens map[string]*token
}

type token struct {
	free  chan struct{}
	users int
}

// take waits for the token of a name.
func (c *claims) take(ctx context.Context, name string) (release func(), err error) {
	c.mu.Lock()
	t := c.tokens[name]
	if t == nil {
		t = &token{free: make(chan struct{}, 1)}
		c.tokens[name] = t
	}
	t.users++
	c.mu.Unlock()
	select {
	case t.free <- struct{}{}:
		return func() { <-t.free; c.leave(name, t) }, nil
	case <-ctx.Done():
		c.leave(name, t)
		return nil, fault.Wrap(fault.From(ctx.Err()).Code, ctx.Err(), "wait for another change of package %s", name)
	}
}

// leave forgets a token that nobody holds or waits for.
func (c *claims) leave(name string, t *token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(c.tokens, name)
	}
}
