package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/gateway/rpc"
	"github.com/hpcclab/oaas-go/internal/process"
	"github.com/hpcclab/oaas-go/internal/telemetry"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/endpoint"
	"github.com/hpcclab/oaas-go/odgm/remote"
)

// run is the process. The end of ctx is an interrupt.
func run(ctx context.Context, env *process.Environment) error {
	cfg, err := configure(env)
	if err != nil {
		return process.Usage(err)
	}
	if cfg.printConfig {
		_, err := fmt.Fprintln(env.Out, cfg.Text())
		return err
	}
	logger, err := telemetry.Logger(env.Err, logVariables(env))
	if err != nil {
		return process.Usage(err)
	}
	classes, err := cfg.classes()
	if err != nil {
		return process.Usage(err)
	}
	if len(cfg.idle) > 0 {
		logger.Warn("variables without effect here", "names", strings.Join(cfg.idle, ", "))
	}
	cfg.warn(logger)
	if ctx.Err() != nil {
		return process.ErrInterrupted
	}
	flush, err := telemetry.Setup(ctx, "oaas-odgm", env.Get)
	if err != nil {
		return process.Usage(err)
	}
	err = serve(ctx, cfg, classes, env, logger)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.DrainTimeout)
	defer cancel()
	return errors.Join(err, flush(closing))
}

// logVariables has those of ODGM go before the general ones.
func logVariables(env *process.Environment) func(string) string {
	own := map[string]string{telemetry.EnvLogFormat: "ODGM_LOG_FORMAT", telemetry.EnvRustLog: "ODGM_LOG"}
	return func(name string) string {
		if v := env.Get(own[name]); own[name] != "" && v != "" {
			return v
		}
		return env.Get(name)
	}
}

// serve opens the grid, deploys the classes, and answers until ctx ends. What is opened is closed in the reverse order.
func serve(ctx context.Context, cfg *Config, classes []odgm.Class, env *process.Environment, logger *slog.Logger) (err error) {
	closing := func(close func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.DrainTimeout)
		defer cancel()
		err = errors.Join(err, close(ctx))
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	grid, err := odgm.Open(odgm.Config{
		Dir: cfg.dataDir(), Logger: logger, Registerer: registry, DefaultSink: env.Get("K_SINK"), SinkOverrides: env.Get("K_CE_OVERRIDES"),
		ChainSecret: []byte(cfg.ChainSecret),
	})
	if err != nil {
		return err
	}
	defer closing(grid.Close)
	if err := deploy(ctx, grid, classes, cfg); err != nil {
		return err
	}
	sessionConfig, err := cfg.zenoh.SessionConfig()
	if err != nil {
		return process.Usage(err)
	}
	sessionConfig.Logger = logger
	sessionConfig.Connect.Timeout = -1 // the router may come later
	session, err := zenoh.Open(ctx, sessionConfig)
	switch {
	case err != nil && ctx.Err() != nil:
		return process.ErrInterrupted
	case err != nil:
		return err
	}
	defer closing(session.Close)
	keys, err := endpoint.Open(ctx, session, grid, endpoint.Config{Publish: cfg.Publish, Locality: cfg.Locality, Logger: logger, Registerer: registry})
	if err != nil {
		return err
	}
	defer closing(keys.Close)
	server, err := remote.NewServer(ctx, session, grid, remote.ServerConfig{MaxInFlight: cfg.MaxInFlight, Logger: logger})
	if err != nil {
		return err
	}
	defer closing(server.Close)
	return serveGRPC(ctx, cfg, grid, registry, logger)
}

// deploy brings up the classes as a whole: an event must find all of them.
func deploy(ctx context.Context, grid *odgm.Grid, classes []odgm.Class, cfg *Config) error {
	if dir := cfg.dataDir(); dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make data folder: %w", err)
		}
	}
	defer grid.Hold()()
	for _, class := range classes {
		if err := grid.Deploy(ctx, class); err != nil {
			if cfg.dataDir() == "" {
				err = fmt.Errorf("%w (name one with --data-dir or ODGM_DATA_DIR)", err)
			}
			return err
		}
	}
	return nil
}

// serveGRPC answers gRPC, health and metrics on one port until ctx ends.
func serveGRPC(ctx context.Context, cfg *Config, grid *odgm.Grid, registry *prometheus.Registry, logger *slog.Logger) error {
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return err
	}
	defer l.Close() //nolint:errcheck // closed already by who served
	grpcServer, err := rpc.NewServer(grid, rpc.Config{Logger: logger, Registerer: registry, Stopping: ctx.Done()})
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: rpc.Handler(grpcServer, 0, health(ctx, grid, registry)), ReadHeaderTimeout: 10 * time.Second, Protocols: new(http.Protocols),
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	logger.Info("ready", "address", l.Addr().String(), "classes", len(grid.Classes()))
	return rpc.Serve(l, grpcServer, func(l net.Listener) error { return serveHTTP(ctx, server, l, cfg.DrainTimeout) }, cfg.DrainTimeout)
}

func serveHTTP(ctx context.Context, server *http.Server, l net.Listener, drain time.Duration) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := server.Shutdown(closing)
	<-ended // that it is closed
	return err
}

// health answers what is no gRPC.
func health(ctx context.Context, grid *odgm.Grid, registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := grid.Ready(); err != nil || ctx.Err() != nil {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}
