package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/dev/control"
)

func (a *app) funcLogs() *cobra.Command {
	var follow bool
	var tail int
	cmd := &cobra.Command{
		Use: "logs NAME", Short: "Show what a function wrote", Aliases: []string{"log"},
		Long: "Show what a function wrote to stdout and stderr. The lines go to stdout; -o json gives one JSON document a line.",
		Example: `  oaas func logs shop-fn
  oaas func logs shop-fn -f --tail 10`,
		Args: takes("NAME"), ValidArgsFunction: a.complete(functions),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.stream()
			if err != nil {
				return err
			}
			defer c.Close()
			err = c.Logs(cmd.Context(), args[0], follow, tail, func(l control.LogLine) error {
				return a.line(l, func() {
					if l.Missed > 0 {
						fmt.Fprintf(a.Err, "… %d lines are missing\n", l.Missed)
					}
					fmt.Fprintf(a.Out, "%s %s\n", l.Time.Local().Format(time.TimeOnly), l.Text)
				})
			})
			return orHint(err, "list the functions with: oaas func list")
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what the function writes from now on")
	cmd.Flags().IntVarP(&tail, "tail", "n", 100, "how many of the last lines to begin with")
	perRequest(cmd, "follow")
	return cmd
}

func (a *app) funcDelete() *cobra.Command {
	var purge bool
	cmd := &cobra.Command{
		Use: "delete PACKAGE", Short: "Take a project's functions and classes off the platform", Aliases: []string{"rm"},
		Long: `Take a project's functions and classes off the platform. Its objects stay on disk, and are there again when it is
deployed again, unless --purge removes them too. The source folder is left as it is.`,
		Example: `  oaas func delete shop
  oaas func delete shop --purge`,
		Args: takes("PACKAGE"), ValidArgsFunction: a.complete(projects),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, stop, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			defer a.progress("deleting")()
			if err := c.DeleteProject(ctx, args[0], purge); err != nil {
				return orHint(err, "the names of packages are in: oaas func list -o json")
			}
			view := struct {
				Package string `json:"package"`
				Deleted bool   `json:"deleted"`
				Purged  bool   `json:"purged"`
			}{args[0], true, purge}
			return a.print(view, func() {
				if purge {
					fmt.Fprintf(a.Out, "deleted %s and its objects\n", args[0])
					return
				}
				fmt.Fprintf(a.Out, "deleted %s; its objects are kept\n", args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "remove the objects too")
	perRequest(cmd, "purge")
	return cmd
}
