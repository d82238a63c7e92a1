package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/gateway"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/pm"
	"github.com/hpcclab/oaas-go/runtime/builder"
	"github.com/hpcclab/oaas-go/runtime/runner"
	"github.com/hpcclab/oaas-go/runtime/wasm"
)

// platform is what runs: the grid, the functions, and which projects they come from.
type platform struct {
	cfg      Config
	log      *slog.Logger
	dataDir  string
	url      string // of the gateway, as functions see it
	mesh     *mesh
	zenoh    string // endpoint for function containers, as tcp/127.0.0.1:17447. Set before a function starts.
	started  time.Time
	grid     *odgm.Grid
	runner   *runner.Runner
	modules  *wasm.Host
	builder  builder.Builder
	store    *pm.Bolt
	manager  *pm.Manager
	gateway  *gateway.Gateway // from before the first request
	document []byte           // OpenAPI
	activity *activity

	// stopping ends when the platform begins to stop; the goroutines in work end with it.
	stopping context.Context
	stop     context.CancelFunc
	work     sync.WaitGroup

	mu       sync.Mutex
	projects map[string]*deployment   // by package
	owners   map[string]string        // package of each function name, deployed or being deployed
	changing map[string]chan struct{} // one token a package; who deploys or deletes it has it
	watched  map[string]*watcher      // by folder
	counts   map[string]*counts       // by function name
}

// deployment is a project as it is being served. Its fields change only under the platform's mu and with the package's token.
type deployment struct {
	remembered
	slots   map[string]*slot       // by function name
	specs   map[string]runner.Spec // by function name
	modules map[string]moduleSpec  // by function name, of those that are WebAssembly
	classes []odgm.Class
	// failure says why the newest source is not what is being served.
	failure string
}

func newDeployment(r remembered) *deployment {
	if r.Builds == nil {
		r.Builds = map[string]rememberedFunc{}
	}
	return &deployment{remembered: r, slots: map[string]*slot{}, specs: map[string]runner.Spec{}, modules: map[string]moduleSpec{}}
}

// counts is what the platform counts of a function.
type counts struct{ cold, crashes int }

// openPlatform opens grid and runner over a data folder that is locked already.
func openPlatform(ctx context.Context, cfg Config, dataDir, url string, registry *prometheus.Registry) (*platform, error) {
	p := &platform{
		cfg: cfg, dataDir: dataDir, url: url, started: time.Now(), activity: newActivity(),
		builder:  builder.Builder{Root: filepath.Join(dataDir, "builds")},
		projects: map[string]*deployment{}, owners: map[string]string{}, changing: map[string]chan struct{}{},
		watched: map[string]*watcher{}, counts: map[string]*counts{},
	}
	p.log = telling(cfg.Logger, p.activity)
	p.stopping, p.stop = context.WithCancel(context.Background())
	var err error
	// The runner tells by events what it logs.
	p.runner, err = runner.New(runner.Config{
		Logger: cfg.Logger, Registerer: registry, ScaleToZeroGrace: cfg.ScaleToZeroGrace, OnEvent: p.runnerEvent,
	})
	if err != nil {
		return nil, fmt.Errorf("start the function runner: %w", err)
	}
	if p.modules, err = wasm.New(wasm.Config{CacheDir: filepath.Join(dataDir, "modules"), OnLog: p.moduleLog}); err != nil {
		return nil, errors.Join(err, p.runner.Close(context.Background()))
	}
	p.grid, err = odgm.Open(odgm.Config{
		Dir: filepath.Join(dataDir, "classes"), Logger: p.log, Registerer: registry,
		DefaultSink: os.Getenv("K_SINK"), SinkOverrides: os.Getenv("K_CE_OVERRIDES"), OnDelivery: p.delivered,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the object data grid: %w", err), p.runner.Close(context.Background()), p.modules.Close(context.Background()))
	}
	if p.mesh, err = openMesh(ctx, p, registry); err != nil {
		return nil, errors.Join(err, p.close(context.Background()))
	}
	p.zenoh = p.mesh.address
	if err := p.openManager(); err != nil {
		return nil, errors.Join(err, p.close(context.Background()))
	}
	return p, nil
}

// openManager opens the Package Manager, of which this platform is the only environment.
func (p *platform) openManager() (err error) {
	if p.store, err = pm.OpenBolt(filepath.Join(p.dataDir, storeName)); err != nil {
		return err
	}
	p.manager, err = pm.New(pm.Options{
		Store: p.store, Environments: []pm.Environment{environment{p}}, Logger: p.log, Validate: []opackage.ValidateOption{withCondition},
		ArtifactDir: filepath.Join(p.dataDir, "artifacts"), ArtifactURL: p.url, DeleteCascade: os.Getenv("PACKAGE_DELETE_CASCADE") == "true",
		Zenoh: p.mesh,
	})
	return err
}

// close ends everything in order: no more changes, no more calls, no more functions. When ctx ends first, what is left is cut off.
func (p *platform) close(ctx context.Context) error {
	p.stop()
	p.work.Wait()
	err := errors.Join(p.mesh.leave(ctx), p.grid.Close(ctx), p.runner.Close(ctx), p.modules.Close(ctx), p.mesh.close(ctx))
	if p.store != nil {
		err = errors.Join(err, p.store.Close())
	}
	return err
}

// claim takes the token of a package, so that one change of it is made at a time.
func (p *platform) claim(ctx context.Context, pkg string) (release func(), err error) {
	p.mu.Lock()
	token, known := p.changing[pkg]
	if !known {
		token = make(chan struct{}, 1)
		p.changing[pkg] = token
	}
	p.mu.Unlock()
	select {
	case token <- struct{}{}:
		return func() { <-token }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another change of package %s: %w", pkg, ctx.Err())
	case <-p.stopping.Done():
		return nil, fault.New(fault.Unavailable, "the platform is stopping")
	}
}

// project gives what is deployed of a package, or nil.
func (p *platform) project(pkg string) *deployment {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.projects[pkg]
}

// remember makes a deployment the one that is being served, on disk first.
func (p *platform) remember(d *deployment) error {
	if err := saveProject(context.Background(), p.store, &d.remembered); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.projects[d.Package.Name] = d
	return nil
}

// forget takes a package out of the list of what is deployed.
func (p *platform) forget(pkg string) error {
	if err := dropProject(context.Background(), p.store, pkg); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.projects, pkg)
	return nil
}

// remove takes a deployment away: nothing new gets in, what runs ends. With purge its objects go too. The caller has the package's token.
func (p *platform) remove(ctx context.Context, d *deployment, purge bool) error {
	pkg := d.Package.Name
	p.unwatch(d.Dir)
	if err := p.forget(pkg); err != nil {
		return err
	}
	// From here on there is no way back, so it is done whatever becomes of the caller.
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, c := range d.classes {
		if err := p.grid.Undeploy(ctx, c.Name, purge); err != nil && fault.CodeOf(err) != fault.NoClass {
			errs = append(errs, err)
		}
	}
	for name := range d.specs {
		errs = append(errs, p.dropFunction(ctx, name))
	}
	errs = append(errs, p.retireModules(ctx, &deployment{}, d))
	p.disown(pkg, nil)
	errs = append(errs, p.builder.Remove(pkg))
	message := "deleted; its objects are kept"
	if purge {
		message = "deleted with its objects"
	}
	p.activity.add(control.Activity{Kind: control.KindReload, Package: pkg, Message: message})
	return errors.Join(errs...)
}

// dropFunction stops a function if the runner has it.
func (p *platform) dropFunction(ctx context.Context, name string) error {
	if err := p.runner.Remove(ctx, name); err != nil && fault.CodeOf(err) != fault.NotFound {
		return fmt.Errorf("stop function %s: %w", name, err)
	}
	return nil
}

// own takes names of functions for a package, which no other package may have: package a-b with function c would be a with b-c.
func (p *platform) own(pkg string, names []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range names {
		if owner, taken := p.owners[name]; taken && owner != pkg {
			return fault.New(fault.AlreadyExists, "function name %s is taken by package %s; choose another key or package name", name, owner)
		}
	}
	for _, name := range names {
		p.owners[name] = pkg
	}
	return nil
}

// disown gives back all names of a package but those to keep.
func (p *platform) disown(pkg string, keep map[string]*slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, owner := range p.owners {
		if _, kept := keep[name]; owner == pkg && !kept {
			delete(p.owners, name)
			delete(p.counts, name)
		}
	}
}
