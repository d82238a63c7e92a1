// Package cli is the command line `oaas`.
//
// Guarantee: results go to stdout and everything else to stderr; with -o json or -o yaml, stdout has exactly one document of the shapes
// in JSON.md (streams: one JSON document a line). The exit code is 0 when it was done, 1 when it failed, 2 when the command line was wrong
// and 130 when it was interrupted. Every error that somebody can do something about says what.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/cli/config"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// Main runs the command line of this process and gives its exit code: that of OaaS-RS if the program was called by one of the names of its
// command line, else ours. args are those of the process, with the program's name. The first interrupt ends the command in good order, the
// second at once.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Run(ctx, programName(args[0]), args[1:], Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		OutTerminal: term.IsTerminal(int(os.Stdout.Fd())), ErrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		InTerminal: term.IsTerminal(int(os.Stdin.Fd())),
	}, os.LookupEnv)
}

// Streams are where a command reads and writes, and which of them are terminals.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer

	InTerminal, OutTerminal, ErrTerminal bool
}

// programName gives the name of a program's file.
func programName(path string) string {
	return strings.TrimSuffix(filepath.Base(path), ".exe")
}

// Run runs one command line of the program of that name.
func Run(ctx context.Context, program string, args []string, s Streams, env func(string) (string, bool)) int {
	a := &app{Streams: s, env: env, called: program, compat: isCompat(program)}
	root := a.root()
	if a.compat {
		root = a.compatRoot()
	}
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	cmd, err := root.ExecuteContextC(ctx)
	return a.exitCode(ctx, cmd, err)
}

// app is what the commands share.
type app struct {
	Streams
	env func(string) (string, bool)

	// called is the name of the program, compat whether it is one of OaaS-RS's.
	called string
	compat bool
	// cmd is the command that runs, file the configuration once it was read, fromEnv the variables that gave flags their values.
	cmd     *cobra.Command
	file    *config.Config
	fromEnv map[string]string
	// at is the address that the command talks to.
	at setting

	url     string
	output  format
	timeout time.Duration
	retries int
}

// defaultTimeout bounds requests that are not streams.
const defaultTimeout = 60 * time.Second

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "oaas",
		Short: "Serverless made stateful: classes with state and methods",
		Long: `oaas runs classes: named state (entries) plus methods (functions).

Start the platform in one terminal with "oaas dev", and use the other commands in another one.
A flag whose help names a variable, such as ($OAAS_URL), can be given by that variable too.`,
		Example: `  oaas dev                                # the platform, on this machine
  oaas func create shop -t go             # a project from a template
  oaas func deploy shop                   # build and deploy it
  oaas invoke shop.counter a1 add --data '{"by":2}'
  oaas object get shop.counter a1`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.begin(cmd)
		},
	}
	a.globalFlags(root)
	root.PersistentFlags().VarP(&a.output, "output", "o", "form of the result: table, json or yaml")
	must(root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{cmd, err} })
	root.AddCommand(
		a.dev(), a.function(), a.object(), a.invoke(), a.result(), a.trigger(), a.events(), a.version(),
	)
	root.AddCommand(a.shared()...)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	describeEnv(root)
	return root
}

// globalFlags adds what every command has under both names.
func (a *app) globalFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&a.url, "url", client.DefaultURL, "address of the platform; without it, that of the current context")
	flags.DurationVar(&a.timeout, "timeout", defaultTimeout, "how long to wait for the platform")
	flags.IntVar(&a.retries, "retries", 0, "how often to repeat what may be repeated when the platform is not there")
}

// shared gives the commands that are the same under both names.
func (a *app) shared() []*cobra.Command {
	return []*cobra.Command{
		a.packages(), a.class(), a.deploy(), a.classRuntimes(), a.environments(), a.context(),
		a.liveliness(), a.capabilities(), a.zenohCapabilities(), a.topology(),
	}
}

// must reports a mistake in the definition of the commands, which the first test of any command finds.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// client gives the client of the platform, and a context that ends with the command's timeout.
func (a *app) client(ctx context.Context) (context.Context, *client.Client, context.CancelFunc, error) {
	return a.bounded(ctx, false)
}

// manager is client for the Package Manager.
func (a *app) manager(ctx context.Context) (context.Context, *client.Client, context.CancelFunc, error) {
	return a.bounded(ctx, true)
}

func (a *app) bounded(ctx context.Context, manager bool) (context.Context, *client.Client, context.CancelFunc, error) {
	c, err := a.connect(manager)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, stop := a.withTimeout(ctx, c.URL())
	return ctx, c, func() { stop(); c.Close() }, nil
}

// withTimeout gives a context that ends with the command's timeout; 0 is none.
func (a *app) withTimeout(ctx context.Context, url string) (context.Context, context.CancelFunc) {
	if a.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, a.timeout, &tooSlow{url, a.timeout})
}

// stream gives the client without a timeout, for what goes on until it is interrupted.
func (a *app) stream() (*client.Client, error) { return a.connect(false) }

func (a *app) connect(manager bool) (*client.Client, error) {
	at, err := a.platformURL(manager)
	if err != nil {
		return nil, err
	}
	c, err := client.New(at.Value)
	if err != nil {
		return nil, &hinted{fmt.Errorf("%w%s", err, at.from()), "set it with --url, OAAS_URL or: " + a.name() + " context set"}
	}
	a.at, c.Retries = at, a.retries
	return c, nil
}

// tooSlow is the cause of a context whose time is over.
type tooSlow struct {
	url   string
	after time.Duration
}

func (t *tooSlow) Error() string { return fmt.Sprintf("no answer from %s within %s", t.url, t.after) }

// Is makes it a deadline error to whoever asks.
func (t *tooSlow) Is(target error) bool { return target == context.DeadlineExceeded }

// group makes a command that only has subcommands.
func group(use, short, example string, aliases ...string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: example, Aliases: aliases,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// unknownCommand refuses arguments of a command that has only subcommands, and suggests what was probably meant.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("%q is no command of %q", args[0], cmd.CommandPath())
	if near := nearest(cmd, args[0]); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return &usageError{cmd, errors.New(text)}
}

// takes checks the number of arguments and names the one that is missing. Names that end in "?" may be absent, the last may end in "...".
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		for i, name := range names {
			optional := name[len(name)-1] == '?' || name[len(name)-1] == '.'
			if i >= len(args) && !optional {
				return &usageError{cmd, fmt.Errorf("%s is missing", name)}
			}
		}
		open := len(names) > 0 && names[len(names)-1][len(names[len(names)-1])-1] == '.'
		if len(args) > len(names) && !open {
			return &usageError{cmd, fmt.Errorf("%q is one argument too many", args[len(names)])}
		}
		return nil
	}
}
