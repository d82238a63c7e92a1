// Command bench measures the platform side by side with peers and limits, in one run, and prints the table of docs/performance.md.
//
// Figures of one run are comparable with each other only: the machine decides the rest. Everything runs on loopback, for a bounded time, and is
// stopped at the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

type scenario struct {
	name string
	run  func(ctx context.Context, t *table, cfg config) error
}

type config struct {
	oaas   string
	length time.Duration
	rounds int
	events int
	match  string
	router string
	native string
}

var scenarios = []scenario{
	{"storage", func(ctx context.Context, t *table, cfg config) error { return storage(ctx, t, cfg.length) }},
	{"calls", calls},
	{"grpc", grpcCalls},
	{"processes", processes},
	{"start", start},
	{"events", events},
	{"streams", streams},
	{"zenoh", zenohFigures},
}

func main() {
	var cfg config
	only := flag.String("only", "", "scenarios to run, separated by commas (storage, calls, grpc, processes, start, events, streams, zenoh); all if empty")
	flag.StringVar(&cfg.oaas, "oaas", "bin/oaas", "the oaas binary to measure")
	flag.DurationVar(&cfg.length, "time", 3*time.Second, "length of each measurement")
	flag.IntVar(&cfg.rounds, "rounds", 3, "rounds of each comparison; the median ratio is shown")
	flag.IntVar(&cfg.events, "events", 100_000, "events of the delivery test")
	flag.StringVar(&cfg.match, "match", "", "of the calls and of Zenoh, only the comparisons whose name contains this")
	flag.StringVar(&cfg.router, "router", "bin/oaas-router", "the router to measure")
	flag.StringVar(&cfg.native, "native", ".cache/native", "where the native implementation of Zenoh was built, see make bench-native")
	bare := flag.String("serve-bare", "", "serve a constant on this address and do nothing else; the program starts itself so")
	bareGRPC := flag.String("serve-grpc", "", "the same over gRPC")
	role := flag.String("serve-zenoh", "", "play a role of the Zenoh figures, with name=value as arguments; the program starts itself so")
	flag.Parse()
	if *role != "" {
		if err := parseRole(*role, flag.Args()).serve(); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", *role, err)
			os.Exit(1)
		}
		return
	}
	for addr, serve := range map[string]func(string) error{*bare: serveBare, *bareGRPC: serveGRPC} {
		if addr != "" {
			fmt.Fprintln(os.Stderr, "bench:", serve(addr))
			os.Exit(1)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	t := &table{}
	err := runAll(ctx, t, cfg, *only)
	t.print(os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func runAll(ctx context.Context, t *table, cfg config, only string) error {
	var errs []error
	for _, s := range scenarios {
		if only != "" && !strings.Contains(","+only+",", ","+s.name+",") {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s …\n", s.name)
		if err := s.run(ctx, t, cfg); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	return errors.Join(errs...)
}
