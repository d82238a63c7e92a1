package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/templates"
)

func (a *app) funcCreate() *cobra.Command {
	var template, dir string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a new project from a template", Aliases: []string{"new", "c"},
		Long: "Make a new project from a template: a class with state, methods, a trigger, and tests. NAME becomes the folder and the package.",
		Example: `  oaas func create shop -t go
  oaas func create sensors -t python --dir ~/src/sensors`,
		Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				dir = args[0]
			}
			files, err := templates.Write(dir, template, filepath.Base(args[0]))
			if fault.CodeOf(err) == fault.AlreadyExists {
				return &hinted{err, "name another folder with --dir"}
			}
			if err != nil {
				return err
			}
			view := struct {
				Dir      string   `json:"dir"`
				Package  string   `json:"package"`
				Template string   `json:"template"`
				Files    []string `json:"files"`
			}{dir, filepath.Base(args[0]), template, orEmpty(files)}
			return a.print(view, func() {
				fmt.Fprintf(a.Out, "created %s from template %s:\n  %s\n", dir, template, strings.Join(visible(files), "\n  "))
				fmt.Fprintf(a.Out, "deploy it with: oaas func deploy %s\n", dir)
			})
		},
	}
	cmd.Flags().StringVarP(&template, "template", "t", "go", "what to start from: "+strings.Join(templates.Names(), ", "))
	cmd.Flags().StringVar(&dir, "dir", "", "folder to make (default: NAME)")
	perRequest(cmd, "dir")
	must(cmd.RegisterFlagCompletionFunc("template", cobra.FixedCompletions(templates.Names(), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// visible leaves out the files that nobody needs to look at.
func visible(files []string) []string {
	return slices.DeleteFunc(slices.Clone(files), func(f string) bool { return strings.HasPrefix(f, ".") })
}
