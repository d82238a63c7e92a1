package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/hpcclab/oaas-go/broker/zenoh/router"
	"github.com/hpcclab/oaas-go/broker/zenohenv"
	"github.com/hpcclab/oaas-go/internal/telemetry"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// defaultPort is where the charts of OaaS-RS expect the router.
const defaultPort = 17447

// closeTime is how long sessions may take to get what is queued for them when the router stops.
const closeTime = 5 * time.Second

// options are the flags. Those with a variable go before it.
type options struct {
	listen, connect []string
	admin           bool
	slow            string
	metrics         string
	printConfig     bool
}

func flagSet(o *options, out io.Writer) *pflag.FlagSet {
	flags := pflag.NewFlagSet("oaas-router", pflag.ContinueOnError)
	flags.SetOutput(out)
	flags.SortFlags = false
	flags.StringSliceVarP(&o.listen, "listen", "l", nil, "endpoints to listen on, in place of OPRC_ZENOH_PROTOCOL and OPRC_ZENOH_PORT")
	flags.StringSliceVarP(&o.connect, "connect", "e", nil, "endpoints of routers to connect to (OPRC_ZENOH_PEERS)")
	flags.BoolVar(&o.admin, "adminspace", false, "answer queries below @/<zid>/router (OPRC_ZENOH_ADMINSPACE_ENABLED)")
	flags.StringVar(&o.slow, "slow-sessions", "block", "what becomes of messages that must not be dropped when a session does not take them: block or drop (OAAS_ROUTER_SLOW_SESSIONS)")
	flags.StringVar(&o.metrics, "metrics", "", "address for /metrics and /healthz, such as 127.0.0.1:9464; none without (OAAS_ROUTER_METRICS)")
	flags.BoolVar(&o.printConfig, "print-config", false, "print the configuration and where it comes from, and end")
	flags.Usage = func() {
		fmt.Fprintf(out, "oaas-router is a Zenoh router. It reads OPRC_ZENOH_CONFIG (JSON5), then the other variables OPRC_ZENOH_*, then flags.\n\n%s", flags.FlagUsages())
	}
	return flags
}

// errUsage is for a command line or an environment that is wrong.
type errUsage struct{ error }

func (e errUsage) Unwrap() error { return e.error }

// run is the command, and gives its exit code. The end of ctx is an interrupt.
func run(ctx context.Context, args []string, lookup func(string) (string, bool), out, errOut io.Writer) int {
	err := serve(ctx, args, lookup, out, errOut)
	var usage errUsage
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, pflag.ErrHelp):
		return exitOK
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "oaas-router: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(errOut, "oaas-router: %v\n", err)
	return exitFailed
}

// errInterrupted is for a router that was stopped by a signal before it was open.
var errInterrupted = errors.New("interrupted")

func serve(ctx context.Context, args []string, lookup func(string) (string, bool), out, errOut io.Writer) error {
	var o options
	flags := flagSet(&o, errOut)
	if err := flags.Parse(args); err != nil {
		return usageUnlessHelp(err)
	}
	if flags.NArg() > 0 {
		return errUsage{fmt.Errorf("unknown argument %q: there are only flags, see --help", flags.Arg(0))}
	}
	loaded, config, err := configure(&o, flags, lookup)
	if err != nil {
		return errUsage{err}
	}
	if o.printConfig {
		_, err := fmt.Fprintln(out, loaded.Text())
		return err
	}
	logger, err := telemetry.Logger(errOut, func(name string) string { v, _ := lookup(name); return v })
	if err != nil {
		return errUsage{err}
	}
	if idle := loaded.Idle(); len(idle) > 0 {
		logger.Warn("configuration without effect here", "keys", strings.Join(idle, ", "))
	}
	config.Logger = logger
	return open(ctx, config, o.metrics, logger)
}

func usageUnlessHelp(err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	return errUsage{err}
}

// configure lays environment and flags over the defaults.
func configure(o *options, flags *pflag.FlagSet, lookup func(string) (string, bool)) (*zenohenv.Loaded, router.Config, error) {
	loaded, err := zenohenv.Load(lookup, zenohenv.Defaults{Mode: "router", Port: defaultPort})
	if err != nil {
		return nil, router.Config{}, err
	}
	if flags.Changed("listen") {
		loaded.Listen.Endpoints, loaded.Origins["listen/endpoints"] = o.listen, "--listen"
	}
	if flags.Changed("connect") {
		loaded.Connect.Endpoints, loaded.Origins["connect/endpoints"] = o.connect, "--connect"
	}
	if flags.Changed("adminspace") {
		loaded.Admin.Enabled, loaded.Origins["adminspace/enabled"] = o.admin, "--adminspace"
	}
	fromEnv := func(flag, variable string, to *string) {
		if v, ok := lookup(variable); ok && v != "" && !flags.Changed(flag) {
			*to = v
		}
	}
	fromEnv("slow-sessions", "OAAS_ROUTER_SLOW_SESSIONS", &o.slow)
	fromEnv("metrics", "OAAS_ROUTER_METRICS", &o.metrics)
	if err := loaded.Validate(); err != nil {
		return nil, router.Config{}, err
	}
	config, err := loaded.RouterConfig()
	if err != nil {
		return nil, router.Config{}, err
	}
	switch o.slow {
	case "block":
	case "drop":
		config.SlowSessions = router.DropMessages
	default:
		return nil, router.Config{}, fmt.Errorf("slow-sessions: %q is neither block nor drop", o.slow)
	}
	return loaded, config, nil
}

// open runs the router until ctx ends.
func open(ctx context.Context, config router.Config, metrics string, logger *slog.Logger) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	r, err := router.Open(ctx, config)
	switch {
	case err != nil && ctx.Err() != nil:
		return errInterrupted
	case err != nil:
		return err
	}
	stopMetrics, err := serveMetrics(r, metrics, logger)
	if err == nil {
		<-ctx.Done()
		logger.Info("router closing")
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return errors.Join(err, stopMetrics(closing), r.Close(closing))
}

// serveMetrics answers /metrics and /healthz, if there is an address for it.
func serveMetrics(r *router.Router, address string, logger *slog.Logger) (stop func(context.Context) error, err error) {
	if address == "" {
		return func(context.Context) error { return nil }, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return func(context.Context) error { return nil }, fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		fmt.Fprint(w, r.Statistics().Metrics())
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	logger.Info("metrics", "address", l.Addr().String())
	return func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}
