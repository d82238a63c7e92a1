// Package process is what the mains of server processes have in common: signals, exit codes, flags over the environment, and a kind of error for what
// is wrong with the command line.
//
// Guarantee: a process ends with 0 after it was asked to stop and has stopped, with 1 after a failure, with 2 when the command line or the environment is
// wrong, and with 130 when it was stopped before it served. A second signal kills it.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/hpcclab/oaas-go/broker/zenohenv"
)

// Exit codes.
const (
	OK          = 0
	Failed      = 1
	BadUsage    = 2
	Interrupted = 130
)

// Environment is where a process is started.
type Environment struct {
	Args   []string
	Lookup func(string) (string, bool)
	Out    io.Writer
	Err    io.Writer
}

// Get gives a variable, or "".
func (e *Environment) Get(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// Main runs a process until it ends or a signal comes, and exits.
func Main(name string, run func(context.Context, *Environment) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal kills
	env := &Environment{os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr}
	os.Exit(Code(name, env, run(ctx, env)))
}

// ErrInterrupted is for a process that was stopped before it served.
var ErrInterrupted = errors.New("interrupted")

type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage marks an error of the command line or the environment; nil and the request for help stay what they are.
func Usage(err error) error {
	if err == nil || errors.Is(err, pflag.ErrHelp) {
		return err
	}
	return usageError{err}
}

// Code says what went wrong, and gives the exit code.
func Code(name string, env *Environment, err error) int {
	switch _, usage := errors.AsType[usageError](err); {
	case err == nil, errors.Is(err, pflag.ErrHelp):
		return OK
	case errors.Is(err, ErrInterrupted):
		return Interrupted
	case usage:
		fmt.Fprintf(env.Err, "%s: %v\n", name, err)
		return BadUsage
	}
	fmt.Fprintf(env.Err, "%s: %v\n", name, err)
	return Failed
}

// ZenohFlags are those of processes that have a Zenoh session.
type ZenohFlags struct {
	Mode    string
	Connect []string
}

// Add adds the flags.
func (z *ZenohFlags) Add(flags *pflag.FlagSet) {
	flags.StringVar(&z.Mode, "mode", "peer", "peer or client (OPRC_ZENOH_MODE)")
	flags.StringSliceVarP(&z.Connect, "connect", "e", nil, "endpoints to connect to, such as tcp/127.0.0.1:7447 (OPRC_ZENOH_PEERS)")
}

// Load reads the variables OPRC_ZENOH_* and lays the flags over them.
func (z *ZenohFlags) Load(flags *pflag.FlagSet, lookup func(string) (string, bool)) (*zenohenv.Loaded, error) {
	loaded, err := zenohenv.Load(lookup, zenohenv.Defaults{Mode: "peer"})
	if err != nil {
		return nil, err
	}
	if flags.Changed("mode") {
		loaded.Mode, loaded.Origins["mode"] = z.Mode, "--mode"
	}
	if flags.Changed("connect") {
		loaded.Connect.Endpoints, loaded.Origins["connect/endpoints"] = z.Connect, "--connect"
	}
	return loaded, loaded.Validate()
}
