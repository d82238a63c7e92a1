package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/pflag"

	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/broker/zenohenv"
	"github.com/hpcclab/oaas-go/gateway"
	"github.com/hpcclab/oaas-go/gateway/rpc"
	"github.com/hpcclab/oaas-go/internal/process"
	"github.com/hpcclab/oaas-go/internal/telemetry"
	"github.com/hpcclab/oaas-go/odgm/remote"
)

var (
	_ gateway.Grid = (*remote.Client)(nil)
	_ rpc.Grid     = (*remote.Client)(nil)
)

// startTime is how long the gateway waits for the grids that are there, before it takes requests.
const startTime = 5 * time.Second

// config says what the process does: what the variables of package gateway and zenohenv say, and flags over them.
type config struct {
	gateway     gateway.Config
	listen      string
	zenoh       *zenohenv.Loaded
	printConfig bool
}

func configure(env *process.Environment) (*config, error) {
	c := &config{}
	var z process.ZenohFlags
	flags := pflag.NewFlagSet("oaas-gateway", pflag.ContinueOnError)
	flags.SetOutput(env.Err)
	flags.SortFlags = false
	flags.StringVar(&c.listen, "listen", "", "address for all protocols; the variable has the port alone (HTTP_PORT)")
	z.Add(flags)
	flags.BoolVar(&c.printConfig, "print-config", false, "print the configuration, and end")
	flags.Usage = func() {
		fmt.Fprintf(env.Err, "oaas-gateway is the entrance for REST, gRPC and WebSocket. It reads variables, each with the prefix OPRC_GW_ first, and\n"+
			"OPRC_ZENOH_*, then flags.\n\n%s", flags.FlagUsages())
	}
	if err := flags.Parse(env.Args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q: there are only flags, see --help", flags.Arg(0))
	}
	var err, zerr error
	c.gateway, err = gateway.FromEnv(env.Lookup)
	c.zenoh, zerr = z.Load(flags, env.Lookup)
	if err = errors.Join(err, zerr); err != nil {
		return nil, err
	}
	c.listen = cmp.Or(c.listen, ":"+strconv.Itoa(c.gateway.Port))
	if _, _, err := net.SplitHostPort(c.listen); err != nil {
		return nil, fmt.Errorf("--listen=%q: want host:port, such as 127.0.0.1:8080", c.listen)
	}
	return c, nil
}

// text gives the configuration as JSON, that of Zenoh after it.
func (c *config) text() string {
	b, err := json.MarshalIndent(map[string]any{"listen": c.listen, "gateway": c.gateway}, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(b) + "\n" + c.zenoh.Text()
}

// run is the process. The end of ctx is an interrupt.
func run(ctx context.Context, env *process.Environment) error {
	cfg, err := configure(env)
	if err != nil {
		return process.Usage(err)
	}
	if cfg.printConfig {
		_, err := fmt.Fprintln(env.Out, cfg.text())
		return err
	}
	logger, err := telemetry.Logger(env.Err, env.Get)
	if err != nil {
		return process.Usage(err)
	}
	if ctx.Err() != nil {
		return process.ErrInterrupted
	}
	flush, err := telemetry.Setup(ctx, "oaas-gateway", env.Get)
	if err != nil {
		return process.Usage(err)
	}
	err = connect(ctx, cfg, logger)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.gateway.DrainTimeout)
	defer cancel()
	return errors.Join(err, flush(closing))
}

// connect opens the session and the client, and answers until ctx ends.
func connect(ctx context.Context, cfg *config, logger *slog.Logger) (err error) {
	closing := func(close func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.gateway.DrainTimeout)
		defer cancel()
		err = errors.Join(err, close(ctx))
	}
	sessionConfig, err := cfg.zenoh.SessionConfig()
	if err != nil {
		return process.Usage(err)
	}
	sessionConfig.Logger = logger
	sessionConfig.Connect.Timeout = -1 // the router may come later
	l, err := net.Listen("tcp", cfg.listen)
	if err != nil {
		return err
	}
	defer l.Close() //nolint:errcheck // closed already by who served
	session, err := zenoh.Open(ctx, sessionConfig)
	switch {
	case err != nil && ctx.Err() != nil:
		return process.ErrInterrupted
	case err != nil:
		return err
	}
	defer closing(session.Close)
	starting, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	grid, err := remote.NewClient(starting, session, remote.ClientConfig{Logger: logger})
	if err != nil {
		return err
	}
	defer closing(grid.Close)
	return serve(ctx, cfg, grid, l, logger)
}

// serve answers all protocols on one port until ctx ends.
func serve(ctx context.Context, cfg *config, grid *remote.Client, l net.Listener, logger *slog.Logger) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gw, err := gateway.New(grid, cfg.gateway, gateway.Options{Logger: logger, Registry: registry})
	if err != nil {
		return err
	}
	server, err := rpc.NewServer(grid, rpc.Config{
		MaxMessageBytes: int(min(cfg.gateway.MaxPayloadBytes, math.MaxInt32)), MaxHeaderBytes: uint32(min(cfg.gateway.MaxHeaderBytes, math.MaxInt32)),
		MaxInFlight: cfg.gateway.MaxInFlight, Stopping: gw.Stopping(), Logger: logger, Registerer: registry,
	})
	if err != nil {
		return err
	}
	gw.Front(func(next http.Handler) http.Handler { return rpc.Handler(server, 0, next) })
	logger.Info("ready", "address", l.Addr().String(), "classes", len(grid.Classes()))
	return rpc.Serve(l, server, func(l net.Listener) error { return gw.Serve(ctx, l) }, cfg.gateway.DrainTimeout)
}
