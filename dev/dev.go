// Package dev is the whole platform in one process: grid, function runner, gateway and control API over one data folder. It composes the same packages as
// a cluster's processes do; nothing here is a second implementation of anything.
//
// Guarantee: what was acknowledged, and what was deployed, is there again after the process ended in whatever way. One process uses a data folder
// at a time. A deployment that fails leaves what was served before it. When Run returns, no function runs any more.
package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/dev/project"
	"github.com/hpcclab/oaas-go/gateway"
	"github.com/hpcclab/oaas-go/gateway/rpc"
	"github.com/hpcclab/oaas-go/internal/telemetry"
)

// Defaults of Config.
const (
	DefaultListen  = "127.0.0.1:8080"
	DefaultDataDir = ".oaas"
)

// drainTimeout bounds how long stopping may take before what is left is cut off.
const drainTimeout = 20 * time.Second

// Config says how a platform runs. The zero value is usable.
type Config struct {
	// Listen is the address of gateway and control API; port 0 takes a free one. Default: DefaultListen.
	Listen string
	// Zenoh is the address of the Zenoh router. Default: what OPRC_ZENOH_* say, else DefaultZenoh, or a free port if that is taken.
	Zenoh string
	// DataDir keeps everything; it is made if need be. Default: DefaultDataDir.
	DataDir string
	// Projects are folders to deploy at the start, beside those that were deployed before.
	Projects []string
	// ScaleToZeroGrace is how long a function's last instance stays without calls. Default: that of the runner, as on Knative.
	ScaleToZeroGrace time.Duration
	// FunctionErrorsOK answers 200 where a function failed by itself, as OaaS-RS's gateway does.
	FunctionErrorsOK bool
	// Version is shown to clients.
	Version string
	// Logger gets what has no place on the screen. Default: discard.
	Logger *slog.Logger
	// Screen shows people what happens; nil shows nothing.
	Screen *Screen
	// OnReady is told when requests are taken.
	OnReady func(control.Status)
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.DataDir == "" {
		c.DataDir = DefaultDataDir
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnReady == nil {
		c.OnReady = func(control.Status) {}
	}
	return c
}

// Run runs a platform until ctx ends, then lets what has begun end, and stops everything.
func Run(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	begun := time.Now()
	folders, err := projectFolders(cfg.Projects)
	if err != nil {
		return err
	}
	flush, err := telemetry.Setup(ctx, "oaas-dev", os.Getenv)
	if err != nil {
		return err
	}
	dataDir, lock, err := openDataDir(ctx, cfg.DataDir)
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // the lock goes with the process anyway
	listener, err := listen(ctx, cfg.Listen)
	if err != nil {
		return fmt.Errorf("start the gateway: %w", err)
	}
	defer listener.Close() //nolint:errcheck // closed already when the gateway served
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p, err := openPlatform(ctx, cfg, dataDir, urlOf(listener.Addr()), registry)
	if err != nil {
		return err
	}
	err = p.serve(ctx, listener, registry, folders, begun)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	return errors.Join(err, p.close(closing), flush(closing))
}

// serve restores what was deployed, and answers requests until ctx ends.
func (p *platform) serve(ctx context.Context, l net.Listener, registry *prometheus.Registry, folders []string, begun time.Time) error {
	gcfg, err := gateway.FromEnv(os.LookupEnv)
	if err != nil {
		return fmt.Errorf("settings of the gateway in the environment: %w", err)
	}
	gcfg.FunctionErrorsOK = gcfg.FunctionErrorsOK || p.cfg.FunctionErrorsOK
	if p.document, err = OpenAPI(p.cfg.Version); err != nil {
		return err
	}
	gw, err := gateway.New(observed{p.grid, p.activity}, gcfg, gateway.Options{
		Logger: p.log, Registry: registry,
		Mount: p.routes,
	})
	if err != nil {
		return err
	}
	server, err := p.serveGRPC(gw, &gcfg, registry)
	if err != nil {
		return err
	}
	p.gateway = gw
	if err := p.restore(ctx); err != nil {
		return err
	}
	var side sync.WaitGroup
	defer side.Wait()
	// Streams end when the draining begins, or it would wait for them.
	side.Go(func() { <-gw.Stopping(); p.stop() })
	if p.cfg.Screen != nil {
		p.cfg.Screen.header(p.status(), time.Since(begun))
		side.Go(func() { p.cfg.Screen.run(p) })
	}
	p.cfg.OnReady(p.status())
	p.deployFolders(folders)
	return rpc.Serve(l, server, func(l net.Listener) error { return gw.Serve(ctx, l) }, gcfg.DrainTimeout)
}

// serveGRPC makes the gRPC server of the gateway's port, and has the gateway hand it the calls that come through proxies.
func (p *platform) serveGRPC(gw *gateway.Gateway, cfg *gateway.Config, registry *prometheus.Registry) (*grpc.Server, error) {
	server, err := rpc.NewServer(observed{p.grid, p.activity}, rpc.Config{
		MaxMessageBytes: int(min(cfg.MaxPayloadBytes, math.MaxInt32)), MaxHeaderBytes: uint32(min(cfg.MaxHeaderBytes, math.MaxInt32)),
		MaxInFlight: cfg.MaxInFlight, Stopping: gw.Stopping(), Logger: p.log, Registerer: registry,
	})
	if err != nil {
		return nil, err
	}
	gw.Front(func(next http.Handler) http.Handler { return rpc.Handler(server, 0, next) })
	return server, nil
}

// deployFolders has the folders that are not deployed yet deployed by their watchers, so that one that fails is tried again when it changes.
func (p *platform) deployFolders(folders []string) {
	known := map[string]bool{}
	for _, d := range p.deployments() {
		known[d.Dir] = true
	}
	for _, dir := range folders {
		if known[dir] {
			continue // restored; its restart looks for changes
		}
		w, err := p.watch(dir, "")
		if err != nil {
			p.problem(control.Activity{Message: err.Error()})
			continue
		}
		w.check()
	}
}

// listen listens on an address.
func listen(ctx context.Context, address string) (l net.Listener, err error) {
	wait(ctx, func() bool {
		l, err = new(net.ListenConfig).Listen(ctx, "tcp", address)
		return !errors.Is(err, syscall.EADDRINUSE)
	})
	return l, err
}

// projectFolders checks that the folders of a command line are projects, as a mistyped one is better refused than watched for ever.
func projectFolders(dirs []string) ([]string, error) {
	folders := make([]string, 0, len(dirs))
	for _, dir := range dirs {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("project folder %s: %w", dir, err)
		}
		if _, err := os.Stat(filepath.Join(abs, project.FileName)); err != nil {
			return nil, fault.New(fault.NotFound, "%s is no project: it has no %s; make one with: oaas func create NAME", dir, project.FileName)
		}
		folders = append(folders, abs)
	}
	return folders, nil
}

// openDataDir makes the data folder and takes it for this process.
func openDataDir(ctx context.Context, dir string) (string, *os.File, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", nil, fmt.Errorf("data folder: %w", err)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return "", nil, fmt.Errorf("make data folder: %w", err)
	}
	lock, err := lockDir(ctx, abs)
	if err != nil {
		return "", nil, err
	}
	// Data is not for version control, wherever the folder lies; what else lies in it may be.
	ignore := filepath.Join(abs, ".gitignore")
	if _, err := os.Stat(ignore); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(ignore, []byte("/.gitignore\n/artifacts/\n/builds/\n/classes/\n/lock\n/pm.db\n/projects.json*\n"), 0o644); err != nil {
			return "", nil, errors.Join(fmt.Errorf("write data folder: %w", err), lock.Close())
		}
	}
	return abs, lock, nil
}

// urlOf gives the address under which this machine's programs reach a listener.
func urlOf(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
