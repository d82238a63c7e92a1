package cli

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hpcclab/oaas-go/cli/client"
)

// compatNames are the names of OaaS-RS's command line. A program that is called so has its grammar: PARTITION ID with -c CLASS, where ours is
// CLASS ID with -p PARTITION. Everything below the grammar is the same.
var compatNames = []string{"oprc-cli", "ocli"}

func isCompat(program string) bool { return slices.Contains(compatNames, program) }

// compatRoot is the command line of OaaS-RS.
func (a *app) compatRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   a.called,
		Short: "The command line of OaaS-RS, for this platform",
		Long: `The commands of OaaS-RS's command line with its names, flags and output, for this platform and for OaaS-RS itself.
The same program has more under its own name: oaas.`,
		SilenceErrors: true, SilenceUsage: true,
		Args:              unknownCommand,
		RunE:              noSubcommand,
		Version:           buildLine(),
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.begin(cmd) },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.Flags().BoolP("version", "V", false, "print the version")
	a.globalFlags(root)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{cmd, err} })
	root.AddCommand(a.shared()...)
	root.AddCommand(a.functions(), a.compatObject(), a.compatInvoke(), a.compatResult(), a.compatDev())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	a.adapt(root)
	describeEnv(root)
	return root
}

// buildLine gives the version as OaaS-RS prints it.
func buildLine() string {
	built, hash := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.time":
				built = s.Value
			case "vcs.revision":
				hash = s.Value[:min(len(s.Value), 12)]
			}
		}
	}
	return fmt.Sprintf("%s (built %s, git %s)", version(), built, hash)
}

// noSubcommand is what OaaS-RS makes of a command that needs a subcommand and has none.
func noSubcommand(cmd *cobra.Command, _ []string) error {
	return &usageError{cmd, errors.New("a subcommand is missing")}
}

// global are the flags that have variables also under OaaS-RS's names.
var global = []string{"url", "timeout", "retries", "output"}

// adapt gives each command -o where the letter is free, this program's name in its examples, and takes flags that OaaS-RS has no variables for
// out of the environment.
func (a *app) adapt(cmd *cobra.Command) {
	cmd.Example = strings.ReplaceAll(cmd.Example, "  oaas ", "  "+a.called+" ")
	if cmd.Name() == "help" || cmd.Name() == "completion" {
		return
	}
	switch {
	case cmd.HasSubCommands():
		if cmd.HasParent() {
			cmd.RunE = noSubcommand
		}
	case cmd.Flags().ShorthandLookup("o") == nil:
		cmd.Flags().VarP(&a.output, "output", "o", "form of the result: table, json or yaml")
	default:
		cmd.Flags().Var(&a.output, "output", "form of the result: table, json or yaml")
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(global, f.Name) {
			perRequest(cmd, f.Name)
		}
	})
	for _, sub := range cmd.Commands() {
		a.adapt(sub)
	}
}

// compatError prints the error of a command of the Package Manager as OaaS-RS does; it gives false for other commands.
func (a *app) compatError(cmd *cobra.Command, err error) bool {
	top := cmd
	for top.HasParent() && top.Parent().HasParent() {
		top = top.Parent()
	}
	name := top.Name()
	if !slices.Contains([]string{"package", "class", "function", "deploy", "class-runtimes", "environments", "context"}, name) {
		return false
	}
	text := err.Error()
	if f, ok := errors.AsType[*client.Failure](err); ok {
		text = fmt.Sprintf("API error: %d - %s", f.Status, strings.TrimSpace(string(f.Body)))
	}
	fmt.Fprintf(a.Err, "%s%s command failed: %s\n", strings.ToUpper(name[:1]), name[1:], text)
	return true
}

// compatPlace is what commands on data say about the place of an object: the class by -c, else the context's default one.
type compatPlace struct {
	transportFlags
	class string
}

func (p *compatPlace) add(cmd *cobra.Command) {
	p.transportFlags.add(cmd)
	cmd.Flags().StringVarP(&p.class, "cls-id", "c", "", "class (default: that of the current context)")
}

// ref gives the object of a command whose first arguments are PARTITION and id; id may be "".
func (a *app) ref(p *compatPlace, partition, id string, bits int) (client.Ref, error) {
	if !isNumber(partition, bits) {
		return client.Ref{}, &usageError{a.cmd, fmt.Errorf("%q is no partition: want a number of %d bits", partition, bits)}
	}
	class, err := a.defaultClass(p.class)
	return client.Ref{Class: class, Partition: partition, ID: id}, err
}
