package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/cli/config"
)

func (a *app) context() *cobra.Command {
	cmd := group("context", "Choose the platform that commands talk to", `  oaas context set lab --url http://lab.example:8080
  oaas context select lab
  oaas context`, "ctx")
	cmd.Long = `Choose the platform that commands talk to. Contexts are kept in ~/.oprc/config.yml, or the file that OPRC_CONFIG_PATH names.

Without a subcommand it shows the values that commands use now, and where each of them is from.`
	cmd.AddCommand(a.contextGet(), a.contextSet(), a.contextSelect(), a.contextDelete())
	if !a.compat {
		cmd.RunE = func(*cobra.Command, []string) error { return a.printEffective() }
	}
	return cmd
}

// effectiveView is what commands use, as -o json gives it.
type effectiveView struct {
	File    string  `json:"file"`
	Context string  `json:"context"`
	Gateway setting `json:"gateway"`
	PM      setting `json:"package_manager"`
	Class   setting `json:"default_class"`
	Zenoh   setting `json:"zenoh_peer"`
	Data    setting `json:"transport"`
}

// printEffective shows what commands use.
func (a *app) printEffective() error {
	c, err := a.fileConfig()
	if err != nil {
		return err
	}
	at, from, err := a.current()
	if err != nil {
		return err
	}
	v := effectiveView{File: config.Path(a.env), Context: c.Current, Class: setting{at.Class, from}, Zenoh: setting{at.Zenoh, from}}
	if v.Gateway, err = a.platformURL(false); err != nil {
		return err
	}
	if v.PM, err = a.platformURL(true); err != nil {
		return err
	}
	v.Data = setting{"http", "default"}
	if _, given := a.byFlag(); !given && at.UseGRPC != nil && *at.UseGRPC {
		v.Data = setting{"grpc", from}
	}
	for _, s := range []*setting{&v.Class, &v.Zenoh} {
		if s.Value == "" {
			s.Origin = "not set"
		}
	}
	return a.print(v, func() {
		rows := [][]string{{"SETTING", "VALUE", "FROM"}}
		for _, row := range []struct {
			name string
			setting
		}{{"gateway", v.Gateway}, {"package manager", v.PM}, {"default class", v.Class}, {"zenoh peer", v.Zenoh}, {"transport", v.Data}} {
			rows = append(rows, []string{row.name, row.Value, row.Origin})
		}
		a.table(rows)
	})
}

func (a *app) contextGet() *cobra.Command {
	return &cobra.Command{
		Use: "get", Short: "Show all contexts", Aliases: []string{"g", "list", "ls"}, Annotations: jsonByDefault,
		Example: "  oaas context get\n  oaas context get -o json",
		Args:    takes(),
		RunE: func(*cobra.Command, []string) error {
			c, err := a.fileConfig()
			if err != nil {
				return err
			}
			return a.print(c, func() {
				if len(c.Contexts) == 0 {
					fmt.Fprintln(a.Err, "no contexts; make one with: oaas context set NAME --url URL")
					return
				}
				rows := [][]string{{"CURRENT", "NAME", "URL", "PM", "GATEWAY", "CLASS", "ZENOH", "GRPC"}}
				for _, name := range slices.Sorted(maps.Keys(c.Contexts)) {
					one, mark, grpc := c.Contexts[name], "", ""
					if name == c.Current {
						mark = "*"
					}
					if one.UseGRPC != nil {
						grpc = strconv.FormatBool(*one.UseGRPC)
					}
					rows = append(rows, []string{mark, name, one.URL, one.PM, one.Gateway, one.Class, one.Zenoh, grpc})
				}
				a.table(rows)
			})
		},
	}
}

// contextFlags are the values that `context set` changes.
type contextFlags struct {
	config.Context
	grpc bool
}

func (a *app) contextSet() *cobra.Command {
	var f contextFlags
	cmd := &cobra.Command{
		Use: "set [NAME]", Short: "Change a context, the current one by default, or make it", Aliases: []string{"s", "update"},
		Long: `Change a context, the current one by default, or make it. Only what is given changes.

--url is the address of a platform that serves everything, as oaas dev does; --pm and --gateway take its place where they are apart.`,
		Example: `  oaas context set lab --url http://lab.example:8080
  oaas context set --zenoh-peer tcp/lab.example:17447 --cls shop.cart`,
		Args: takes("NAME?"), ValidArgsFunction: a.completeContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			var name string
			var now config.Context
			err := a.updateConfig(cmd, func(c *config.Config) error {
				if name = c.Current; len(args) > 0 {
					name = args[0]
				}
				if name == "" {
					return &usageError{cmd, fmt.Errorf("NAME is missing: no context is selected")}
				}
				now = f.apply(cmd, c.Contexts[name], a.fromEnv["url"] == "")
				c.Contexts[name] = now
				if c.Current == "" {
					c.Current = name
				}
				return nil
			})
			if err != nil {
				return err
			}
			return a.printContext(name, now)
		},
	}
	cmd.Flags().StringVar(&f.PM, "pm", "", "address of the Package Manager")
	cmd.Flags().StringVar(&f.Gateway, "gateway", "", "address of the gateway")
	cmd.Flags().StringVar(&f.Class, "cls", "", "class of commands that name none")
	cmd.Flags().StringVar(&f.Zenoh, "zenoh-peer", "", "Zenoh endpoint, or several with commas: tcp/HOST:PORT")
	cmd.Flags().BoolVar(&f.grpc, "use-grpc", false, "whether data commands use gRPC")
	cmd.Flags().Lookup("use-grpc").NoOptDefVal = ""
	perRequest(cmd, "pm", "gateway", "cls", "zenoh-peer", "use-grpc")
	return cmd
}

// apply gives the context with what the flags change. --pm and --gateway end the use of a URL for both. A URL that is not typed, but from the
// environment, is not meant.
func (f *contextFlags) apply(cmd *cobra.Command, c config.Context, typed bool) config.Context {
	given := func(name string) bool { return cmd.Flags().Changed(name) }
	if url := cmd.Flag("url"); url.Changed && typed {
		c.URL = url.Value.String()
	}
	if (given("pm") || given("gateway")) && c.URL != "" {
		c.PM, c.Gateway, c.URL = c.URL, c.URL, ""
	}
	for name, set := range map[string]func(){
		"pm": func() { c.PM = f.PM }, "gateway": func() { c.Gateway = f.Gateway }, "cls": func() { c.Class = f.Class },
		"zenoh-peer": func() { c.Zenoh = f.Zenoh }, "use-grpc": func() { c.UseGRPC = &f.grpc },
	} {
		if given(name) {
			set()
		}
	}
	return c
}

// updateConfig changes the configuration file.
func (a *app) updateConfig(cmd *cobra.Command, change func(*config.Config) error) error {
	path := config.Path(a.env)
	if path == "" {
		return &hinted{fmt.Errorf("there is no home folder to keep the configuration in"), "name a file with OPRC_CONFIG_PATH"}
	}
	ctx, stop := a.withTimeout(cmd.Context(), path+".lock")
	defer stop()
	a.file = nil
	return configHint(config.Update(ctx, path, a.noFile, change), path)
}

// contextView is a context as -o json gives it.
type contextView struct {
	Name string `json:"name"`
	config.Context
}

func (a *app) printContext(name string, c config.Context) error {
	return a.print(contextView{name, c}, func() {
		fmt.Fprintf(a.Out, "ctx:'%s' updated successfully\nConfiguration:\n", name)
		for _, row := range [][2]string{
			{"url", c.URL}, {"pmUrl", c.PM}, {"gatewayUrl", c.Gateway}, {"defaultClass", c.Class}, {"zenohPeer", c.Zenoh},
		} {
			if row[1] != "" {
				fmt.Fprintf(a.Out, "  %s: '%s'\n", row[0], row[1])
			}
		}
		if c.UseGRPC != nil {
			fmt.Fprintf(a.Out, "  useGrpc: %t\n", *c.UseGRPC)
		}
	})
}

func (a *app) contextSelect() *cobra.Command {
	return &cobra.Command{
		Use: "select NAME", Short: "Make a context the current one", Aliases: []string{"use"},
		Example: "  oaas context select lab",
		Args:    takes("NAME"), ValidArgsFunction: a.completeContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := a.updateConfig(cmd, func(c *config.Config) error {
				if _, there := c.Contexts[args[0]]; !there {
					return a.noContext(args[0])
				}
				c.Current = args[0]
				return nil
			})
			if err != nil {
				return err
			}
			view := struct {
				Current string `json:"current_context"`
			}{args[0]}
			return a.print(view, func() { fmt.Fprintf(a.Out, "Switched to context '%s'\n", args[0]) })
		},
	}
}

func (a *app) contextDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Forget a context", Aliases: []string{"rm"},
		Example: "  oaas context delete lab",
		Args:    takes("NAME"), ValidArgsFunction: a.completeContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := a.updateConfig(cmd, func(c *config.Config) error {
				if _, there := c.Contexts[args[0]]; !there {
					return a.noContext(args[0])
				}
				delete(c.Contexts, args[0])
				if c.Current == args[0] {
					c.Current = ""
				}
				return nil
			})
			if err != nil {
				return err
			}
			view := struct {
				Name    string `json:"name"`
				Deleted bool   `json:"deleted"`
			}{args[0], true}
			return a.print(view, func() { fmt.Fprintf(a.Out, "Deleted context '%s'\n", args[0]) })
		},
	}
}

func (a *app) noContext(name string) error {
	return &hinted{fmt.Errorf("context '%s' not found", name), "list them with: " + a.name() + " context get"}
}

// completeContexts completes with the names of contexts.
func (a *app) completeContexts(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c, err := a.fileConfig()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(c.Contexts)), cobra.ShellCompDirectiveNoFileComp
}
