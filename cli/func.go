package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/dev/project"
	"github.com/hpcclab/oaas-go/runtime/builder"
)

func (a *app) function() *cobra.Command {
	cmd := group("func", "Make, deploy and look at functions", `  oaas func create shop -t python
  oaas func deploy shop
  oaas func list
  oaas func logs shop-fn -f`, "fn", "f", "function")
	cmd.AddCommand(a.funcCreate(), a.funcBuild(), a.funcDeploy(), a.funcList(), a.funcDescribe(), a.funcInvoke(), a.funcLogs(), a.funcDelete())
	return cmd
}

// dirOf gives the folder of a command's only argument, the current one by default.
func dirOf(args []string) (string, error) {
	dir := "."
	if len(args) > 0 {
		dir = args[0]
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find folder: %w", err)
	}
	return abs, nil
}

// buildView is a build as -o json gives it.
type buildView struct {
	Function string   `json:"function"`
	Runtime  string   `json:"runtime"`
	Build    string   `json:"build"`
	Command  []string `json:"command"`
	Reused   bool     `json:"reused"`
	Millis   int64    `json:"ms"`
}

func (a *app) funcBuild() *cobra.Command {
	return &cobra.Command{
		Use: "build [DIR]", Short: "Check a project and build its functions, without deploying them", Aliases: []string{"b"},
		Example: `  oaas func build
  oaas func build shop`,
		Args: takes("DIR?"), ValidArgsFunction: folders,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := dirOf(args)
			if err != nil {
				return err
			}
			p, err := project.Load(dir)
			if err != nil {
				return err
			}
			builds, views := builder.Builder{Root: buildCache()}, []buildView{}
			for i := range p.Functions {
				f := &p.Functions[i]
				if !project.Local(f) {
					continue
				}
				done := a.progress("building " + f.Key)
				r, err := builds.Build(cmd.Context(), p.BuildRequest(f))
				done()
				if err != nil {
					return err
				}
				views = append(views, buildView{f.Key, string(r.Runtime), r.Hash, r.Command, r.Reused, r.Took.Milliseconds()})
			}
			return a.print(struct {
				Package string      `json:"package"`
				Builds  []buildView `json:"builds"`
			}{p.Name, views}, func() {
				if len(views) == 0 {
					fmt.Fprintln(a.Err, "nothing to build")
					return
				}
				rows := [][]string{{"FUNCTION", "RUNTIME", "BUILD", "TOOK"}}
				for _, v := range views {
					rows = append(rows, []string{v.Function, v.Runtime, v.Build, (time.Duration(v.Millis) * time.Millisecond).String()})
				}
				a.table(rows)
			})
		},
	}
}

// buildCache is where builds that are not deployed are kept: outside of the project, so that they are no part of it.
func buildCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "oaas", "builds")
}

// deployView is a deployment as -o json gives it.
type deployView struct {
	Package   string   `json:"package"`
	Classes   []string `json:"classes"`
	Functions []string `json:"functions"`
	Millis    int64    `json:"ms"`
}

func (a *app) funcDeploy() *cobra.Command {
	return &cobra.Command{
		Use: "deploy [DIR]", Short: "Build a project and deploy it on the platform", Aliases: []string{"d"},
		Long: `Build a project and deploy it on the platform. Deployed again, it takes the place of what was there; the objects keep their state.

The platform ("oaas dev") reads the folder itself, and from then on deploys it again whenever a file in it is saved.`,
		Example: `  oaas func deploy
  oaas func deploy shop`,
		Args: takes("DIR?"), ValidArgsFunction: folders,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := dirOf(args)
			if err != nil {
				return err
			}
			c, err := a.stream()
			if err != nil {
				return err
			}
			defer c.Close()
			started := time.Now()
			done := a.progress("deploying")
			defer done()
			last, err := c.Deploy(cmd.Context(), dir, func(p control.Progress) {
				done()
				if a.output == tableFormat {
					fmt.Fprintln(a.Err, stepLine(p))
				}
				done = a.progress(p.Step)
			})
			done()
			if err != nil {
				return err
			}
			took := time.Since(started)
			view := deployView{last.Package, orEmpty(last.Classes), orEmpty(last.Functions), took.Milliseconds()}
			return a.print(view, func() {
				fmt.Fprintf(a.Out, "deployed %s: %s, %s (%s)\n", view.Package,
					list("class", view.Classes), list("function", view.Functions), took.Round(time.Millisecond))
			})
		},
	}
}

// stepLine is a step of a deployment for people.
func stepLine(p control.Progress) string {
	text := fmt.Sprintf("  %-8s", p.Step)
	if p.Function != "" {
		text += " " + p.Function
	}
	if p.Message != "" {
		text += " " + p.Message
	}
	if p.Millis > 0 {
		text += fmt.Sprintf(" (%s)", time.Duration(p.Millis)*time.Millisecond)
	}
	return text
}

// list gives "classes a, b", or "no classes".
func list(noun string, names []string) string {
	many := noun + "s"
	if strings.HasSuffix(noun, "s") {
		many = noun + "es"
	}
	switch len(names) {
	case 0:
		return "no " + many
	case 1:
		return noun + " " + names[0]
	}
	return many + " " + strings.Join(names, ", ")
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (a *app) funcList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the functions with the state of their instances", Aliases: []string{"ls", "l"},
		Example: `  oaas func list
  oaas func list -o json`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, stop, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			functions, err := c.Functions(ctx)
			if err != nil {
				return err
			}
			return a.print(struct {
				Functions []control.Function `json:"functions"`
			}{orEmpty(functions)}, func() {
				if len(functions) == 0 {
					fmt.Fprintln(a.Err, "no functions; deploy some with: oaas func deploy DIR")
					return
				}
				rows := [][]string{{"FUNCTION", "RUNTIME", "STATE", "INSTANCES", "METHODS"}}
				for _, f := range functions {
					rows = append(rows, []string{f.Name, f.Runtime, f.State, strconv.Itoa(f.Instances), methodsOf(f)})
				}
				a.table(rows)
			})
		},
	}
}

// methodsOf gives "shop.cart: add, pay; shop.stock: take".
func methodsOf(f control.Function) string {
	var parts []string
	for i, m := range f.Methods {
		if i > 0 && f.Methods[i-1].Class == m.Class {
			parts[len(parts)-1] += ", " + m.Method
			continue
		}
		parts = append(parts, m.Class+": "+m.Method)
	}
	return strings.Join(parts, "; ")
}

func (a *app) funcDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe NAME", Short: "Show everything about a function", Aliases: []string{"get"},
		Example: `  oaas func describe shop-fn
  oaas func describe shop-fn -o yaml`,
		Args: takes("NAME"), ValidArgsFunction: a.complete(functions),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, stop, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			list, err := c.Functions(ctx)
			if err != nil {
				return err
			}
			f, err := findFunction(list, args[0])
			if err != nil {
				return err
			}
			return a.print(f, func() { a.describe(f) })
		},
	}
}

// findFunction finds a function by its name, or by its key if only one package has it.
func findFunction(list []control.Function, name string) (*control.Function, error) {
	var found *control.Function
	for i := range list {
		if list[i].Name == name {
			return &list[i], nil
		}
		if list[i].Key == name {
			if found != nil {
				return nil, fmt.Errorf("%q is in several packages: %s and %s", name, found.Name, list[i].Name)
			}
			found = &list[i]
		}
	}
	if found == nil {
		return nil, &hinted{fmt.Errorf("no function is called %q", name), "list them with: oaas func list"}
	}
	return found, nil
}

func (a *app) describe(f *control.Function) {
	rows := [][]string{
		{"function", f.Name}, {"package", f.Package}, {"runtime", f.Runtime}, {"state", f.State}, {"revision", f.Revision},
		{"build", f.Build}, {"source", f.Source}, {"url", f.URL}, {"instances", strconv.Itoa(f.Instances)},
		{"starting", strconv.Itoa(f.Starting)}, {"queued", strconv.Itoa(f.Queued)}, {"in flight", strconv.Itoa(f.InFlight)},
		{"cold starts", strconv.Itoa(f.ColdStarts)}, {"crashes", strconv.Itoa(f.Crashes)},
	}
	shown := rows[:0]
	for _, r := range rows {
		if r[1] != "" && (r[1] != "0" || r[0] == "instances") {
			shown = append(shown, r)
		}
	}
	for i, m := range f.Methods {
		label := ""
		if i == 0 {
			label = "methods"
		}
		shown = append(shown, []string{label, m.Class + "/" + m.Method + kindOf(m)})
	}
	a.table(shown)
	if f.Failure != "" {
		fmt.Fprintf(a.Out, "last failure:\n  %s\n", strings.ReplaceAll(strings.TrimSpace(f.Failure), "\n", "\n  "))
	}
}

func kindOf(m control.Binding) string {
	switch {
	case m.Stateless:
		return " (stateless)"
	case m.Readonly:
		return " (readonly)"
	}
	return ""
}

func (a *app) funcInvoke() *cobra.Command {
	var object, method string
	var payload payloadFlags
	cmd := &cobra.Command{
		Use: "invoke NAME", Short: "Call a function by its name", Aliases: []string{"i"},
		Long: `Call a function by its name: one of the methods that it does, its only stateless one by default.
The same as "oaas invoke CLASS [OBJECT] METHOD", for when you think of the function and not of the class.`,
		Example: `  oaas func invoke shop-prices --data '{"item":"apple"}'
  oaas func invoke shop-fn --method add --object alice --data '{"item":"apple"}'`,
		Args: takes("NAME"), ValidArgsFunction: a.complete(functions),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, contentType, err := payload.read(a, cmd)
			if err != nil {
				return err
			}
			ctx, c, stop, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			list, err := c.Functions(ctx)
			if err != nil {
				return err
			}
			f, err := findFunction(list, args[0])
			if err != nil {
				return err
			}
			m, err := chooseMethod(f, method, object)
			if err != nil {
				return err
			}
			return a.runCall(cmd, &transportFlags{}, client.Call{
				Ref: client.Ref{Class: m.Class, ID: object}, Method: m.Method, Payload: data, ContentType: contentType,
			})
		},
	}
	payload.add(cmd)
	cmd.Flags().StringVar(&object, "object", "", "id of the object to call the method on")
	cmd.Flags().StringVar(&method, "method", "", "method, if the function does several")
	perRequest(cmd, "object", "method")
	return cmd
}

// chooseMethod finds the method of a function that is meant.
func chooseMethod(f *control.Function, name, object string) (control.Binding, error) {
	var fitting []control.Binding
	for _, m := range f.Methods {
		if (name == "" || m.Method == name) && m.Stateless == (object == "") {
			fitting = append(fitting, m)
		}
	}
	if len(fitting) == 1 {
		return fitting[0], nil
	}
	can := make([]string, len(f.Methods))
	for i, m := range f.Methods {
		can[i] = m.Class + "/" + m.Method + kindOf(m)
	}
	err := errors.New("the function does several methods")
	if len(fitting) == 0 {
		err = errors.New("the function has no such method")
	}
	return control.Binding{}, &hinted{err, "say which with --method, and --object for those that are not stateless: " + strings.Join(can, ", ")}
}
