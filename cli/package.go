package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/cli/client"
)

func (a *app) packages() *cobra.Command {
	cmd := group("package", "Apply, look at and delete packages", `  oaas package apply shop.yaml --apply-deployments
  oaas package list
  oaas package delete shop.yaml`, "pkg", "p")
	cmd.AddCommand(a.packageApply(), a.packageDelete(), a.list(packageListing, "list [NAME]", "List the packages, or show one",
		"  oaas package list\n  oaas package list shop -o yaml"))
	return cmd
}

// readPackage reads a package file; what it says is checked before anything is asked of a platform.
func (a *app) readPackage(name, override string) (*opackage.Package, error) {
	text, err := a.readFile(name)
	if err != nil {
		return nil, err
	}
	options := []opackage.ParseOption{opackage.InFile(name)}
	if a.compat {
		options = append(options, opackage.IgnoreUnknown())
	}
	p, err := opackage.ParseYAML(text, options...)
	if err != nil {
		return nil, err
	}
	if override != "" {
		p.Name = override
	}
	for i := range p.Deployments {
		if p.Deployments[i].PackageName == "" {
			p.Deployments[i].PackageName = p.Name
		}
	}
	return p, nil
}

// title gives "shop v1.0.0".
func title(p *opackage.Package) string {
	if p.Version == nil || *p.Version == "" {
		return p.Name
	}
	return p.Name + " v" + *p.Version
}

// applyFlags are those of what applies documents.
type applyFlags struct {
	override                                   string
	overwrite, deployments, dryRun, diff, wait bool
}

func (f *applyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.override, "override-package", "p", "", "name of the package, instead of the one in the file")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "check, and say what would be done, but do nothing")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until what was deployed runs, at most --timeout")
	perRequest(cmd, "override-package", "overwrite", "dry-run", "wait")
}

// appliedView is what was applied as -o json gives it.
type appliedView struct {
	Package string `json:"package"`
	Version string `json:"version,omitempty"`
	// Action is created or updated; "" if only deployments were applied.
	Action      string           `json:"action,omitempty"`
	Deployments []deployedAction `json:"deployments,omitempty"`
	DryRun      bool             `json:"dry_run,omitempty"`
	Diff        string           `json:"diff,omitempty"`
}

type deployedAction struct {
	Key    string `json:"key"`
	Action string `json:"action"`
}

func (a *app) packageApply() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "Create a package, or replace it", Aliases: []string{"a", "create", "c"},
		Long: `Create a package from a file (- is stdin), or with --overwrite replace the one that is there.

With --diff nothing is applied; it shows how the stored package would change.`,
		Example: `  oaas package apply shop.yaml --apply-deployments --wait
  oaas package apply shop.yaml --overwrite
  oaas package apply shop.yaml --diff`,
		Args: takes("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.readPackage(args[0], f.override)
			if err != nil {
				return err
			}
			if err := p.Validate(); err != nil && !a.compat { // under OaaS-RS's name the Package Manager decides
				return err
			}
			ctx, c, stop, err := a.manager(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			if f.diff {
				return a.packageDiff(ctx, c, p)
			}
			return a.applyPackage(ctx, c, p, f)
		},
	}
	cmd.Flags().BoolVarP(&f.deployments, "apply-deployments", "d", false, "apply the deployments in the file too")
	cmd.Flags().BoolVarP(&f.overwrite, "overwrite", "O", false, "replace the package if it is there")
	cmd.Flags().BoolVar(&f.diff, "diff", false, "only show what would change against the stored package")
	f.add(cmd)
	perRequest(cmd, "apply-deployments", "diff")
	return cmd
}

// say gives where the steps of a command are told: stdout for people, nowhere for machines.
func (a *app) say() io.Writer {
	if a.output == tableFormat {
		return a.Out
	}
	return io.Discard
}

func (a *app) applyPackage(ctx context.Context, c *client.Client, p *opackage.Package, f applyFlags) error {
	fmt.Fprintf(a.say(), "Applying package: %s\n", title(p))
	stored, err := storedPackage(ctx, c, p.Name)
	if err != nil {
		return err
	}
	if stored != nil && !f.overwrite {
		//lint:ignore ST1005 the words of OaaS-RS
		return fmt.Errorf("Package '%s' already exists (use --overwrite to replace)", p.Name)
	}
	view := appliedView{Package: p.Name, Action: "created", DryRun: f.dryRun}
	if p.Version != nil {
		view.Version = *p.Version
	}
	at := []string{"packages"}
	if stored != nil {
		view.Action, at = "updated", []string{"packages", p.Name}
	}
	if !f.dryRun {
		if _, err := c.ManagerPost(ctx, p, at...); err != nil {
			return err
		}
		fmt.Fprintf(a.say(), "%s package '%s'.\n", map[string]string{"created": "Created", "updated": "Updated"}[view.Action], p.Name)
	}
	if f.deployments {
		f.overwrite = true // as OaaS-RS does: they belong to the package
		if view.Deployments, err = a.applyDeployments(ctx, c, p.Deployments, f); err != nil {
			return err
		}
	}
	return a.print(view, func() {
		if f.dryRun {
			fmt.Fprintf(a.Out, "Package '%s' would be %s; nothing was done\n", p.Name, view.Action)
			return
		}
		fmt.Fprintf(a.Out, "Package '%s' applied successfully\n", p.Name)
	})
}

// storedPackage gives the package as the Package Manager has it, nil if it has none.
func storedPackage(ctx context.Context, c *client.Client, name string) (*opackage.Package, error) {
	raw, err := c.Manager(ctx, nil, "packages", name)
	switch {
	case client.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	p, err := opackage.ParseJSON(raw, opackage.IgnoreUnknown())
	if err != nil {
		return nil, fmt.Errorf("read the stored package: %w", err)
	}
	return p, nil
}

// packageDiff shows how the stored package would change. Deployments are kept apart from packages, so they are left out.
func (a *app) packageDiff(ctx context.Context, c *client.Client, p *opackage.Package) error {
	stored, err := storedPackage(ctx, c, p.Name)
	if err != nil {
		return err
	}
	view := appliedView{Package: p.Name, Action: "created", DryRun: true}
	var before []byte
	if stored != nil {
		view.Action = "updated"
		if before, err = plainText(stored); err != nil {
			return err
		}
	}
	after, err := plainText(p)
	if err != nil {
		return err
	}
	view.Diff = diff(string(before), string(after))
	if view.Diff == "" {
		view.Action = "unchanged"
	}
	return a.print(view, func() {
		if view.Diff == "" {
			fmt.Fprintf(a.Err, "Package '%s' would not change\n", p.Name)
			return
		}
		a.printDiff(view.Diff)
	})
}

// plainText gives a package as text, without what the Package Manager adds.
func plainText(p *opackage.Package) ([]byte, error) {
	plain := *p
	plain.Deployments = nil
	plain.Metadata = opackage.Metadata{Author: p.Metadata.Author, Description: p.Metadata.Description, Tags: p.Metadata.Tags}
	return plain.YAML()
}

func (a *app) packageDelete() *cobra.Command {
	var override string
	var deployments, dryRun bool
	cmd := &cobra.Command{
		Use: "delete FILE", Short: "Delete the package that a file describes", Aliases: []string{"d", "rm", "r"},
		Example: `  oaas package delete shop.yaml
  oaas package delete shop.yaml --delete-deployments`,
		Args: takes("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.readPackage(args[0], override)
			if err != nil {
				return err
			}
			ctx, c, stop, err := a.manager(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			return a.deletePackage(ctx, c, p, deployments, dryRun)
		},
	}
	cmd.Flags().StringVarP(&override, "override-package", "p", "", "name of the package, instead of the one in the file")
	cmd.Flags().BoolVarP(&deployments, "delete-deployments", "d", false, "delete the deployments in the file first")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be deleted, but delete nothing")
	perRequest(cmd, "override-package", "delete-deployments", "dry-run")
	return cmd
}

func (a *app) deletePackage(ctx context.Context, c *client.Client, p *opackage.Package, deployments, dryRun bool) error {
	fmt.Fprintf(a.say(), "Deleting package: %s\n", p.Name)
	view := deletedView{Package: p.Name, Deleted: !dryRun, DryRun: dryRun}
	for _, d := range p.Deployments {
		if !deployments {
			break
		}
		if !dryRun {
			if _, err := c.ManagerDelete(ctx, "deployments", d.Key); client.IsNotFound(err) {
				fmt.Fprintf(a.say(), "Deployment '%s' is not there\n", d.Key)
				continue
			} else if err != nil {
				return err
			}
			fmt.Fprintf(a.say(), "Deleted deployment '%s'\n", d.Key)
		}
		view.Deployments = append(view.Deployments, d.Key)
	}
	if dryRun {
		stored, err := storedPackage(ctx, c, p.Name)
		if err != nil {
			return err
		}
		if stored == nil {
			//lint:ignore ST1005 the words of OaaS-RS
			return &hinted{fmt.Errorf("Package not found: %s", p.Name), "list them with: " + a.name() + " package list"}
		}
		return a.print(view, func() { fmt.Fprintf(a.Out, "Package '%s' would be deleted; nothing was done\n", p.Name) })
	}
	_, err := c.ManagerDelete(ctx, "packages", p.Name)
	if f, ok := errors.AsType[*client.Failure](err); ok && f.Status == http.StatusConflict && !deployments {
		return &hinted{err, "delete the deployments of the file with it: --delete-deployments"}
	}
	if err != nil {
		return orHint(err, "list them with: "+a.name()+" package list")
	}
	return a.print(view, func() { fmt.Fprintf(a.Out, "Package '%s' deleted successfully\n", p.Name) })
}

// errNoDeployments is for files that there is nothing to do with.
var errNoDeployments = errors.New("the file has no deployments")

// keysOf gives the keys of deployments.
func keysOf(list []opackage.Deployment) []string {
	keys := make([]string, len(list))
	for i, d := range list {
		keys[i] = d.Key
	}
	slices.Sort(keys)
	return keys
}
