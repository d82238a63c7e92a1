package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/cli/client"
)

func (a *app) deploy() *cobra.Command {
	cmd := group("deploy", "Apply, look at and delete deployments of classes", `  oaas deploy apply shop.yaml --wait
  oaas deploy list --watch`, "dep", "de")
	cmd.AddCommand(a.list(deployListing, "list [KEY]", "List the deployments, or show one", "  oaas deploy list\n  oaas deploy list cart -o json"),
		a.deployApply(), a.deployDelete())
	return cmd
}

func (a *app) deployApply() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "Apply the deployments in a package file", Aliases: []string{"a", "create", "c"},
		Example: `  oaas deploy apply shop.yaml
  oaas deploy apply shop.yaml --overwrite --wait`,
		Args: takes("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.readPackage(args[0], f.override)
			if err != nil {
				return err
			}
			if len(p.Deployments) == 0 {
				return &hinted{fmt.Errorf("%s: %w", args[0], errNoDeployments), "add deployments: to it"}
			}
			ctx, c, stop, err := a.manager(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			done, err := a.applyDeployments(ctx, c, p.Deployments, f)
			if err != nil {
				return err
			}
			return a.print(appliedView{Package: p.Name, Deployments: done, DryRun: f.dryRun}, func() {})
		},
	}
	cmd.Flags().BoolVar(&f.overwrite, "overwrite", false, "replace deployments that are there")
	f.add(cmd)
	return cmd
}

// applyDeployments applies deployments one by one, and waits for them if asked to.
func (a *app) applyDeployments(ctx context.Context, c *client.Client, list []opackage.Deployment, f applyFlags) ([]deployedAction, error) {
	var done []deployedAction
	for i := range list {
		d, action := &list[i], "created"
		_, err := c.Manager(ctx, nil, "deployments", d.Key)
		switch {
		case err == nil && !f.overwrite:
			//lint:ignore ST1005 the words of OaaS-RS
			return done, fmt.Errorf("Deployment '%s' already exists (use --overwrite to replace)", d.Key)
		case err == nil:
			action = "updated"
		case !client.IsNotFound(err):
			return done, err
		}
		done = append(done, deployedAction{d.Key, action})
		if f.dryRun {
			fmt.Fprintf(a.say(), "Deployment '%s' would be %s; nothing was done\n", d.Key, action)
			continue
		}
		if _, err := c.ManagerPost(ctx, d, "deployments"); err != nil {
			return done, err
		}
		fmt.Fprintf(a.say(), "Deployment '%s' applied successfully\n", d.Key)
	}
	if f.wait && !f.dryRun {
		return done, a.waitDeployments(ctx, c, keysOf(list))
	}
	return done, nil
}

// waitDeployments waits until the deployments run. It looks at the list, whose conditions are fresh also with OaaS-RS's Package Manager.
func (a *app) waitDeployments(ctx context.Context, c *client.Client, keys []string) error {
	defer a.progress("waiting for the deployments")()
	var waitingFor string
	err := poll(ctx, func() (bool, error) {
		raw, err := c.Manager(ctx, nil, "deployments")
		if err != nil {
			return false, err
		}
		doc, err := decode(raw)
		if err != nil {
			return false, err
		}
		left := slices.Clone(keys)
		for _, item := range itemsOf(doc) {
			at := slices.Index(left, field(item, "key"))
			if at < 0 {
				continue
			}
			running, err := deploymentSettled(item)
			if err != nil {
				return false, err
			}
			if running {
				left = slices.Delete(left, at, at+1)
			}
		}
		if len(left) > 0 {
			waitingFor = fmt.Sprintf("deployment %s is not running yet", left[0])
		}
		return len(left) == 0, nil
	})
	return stillWaiting(err, waitingFor, a.timeout)
}

func (a *app) deployDelete() *cobra.Command {
	var dryRun, wait bool
	cmd := &cobra.Command{
		Use: "delete KEY", Short: "Delete a deployment", Aliases: []string{"d", "rm", "r"},
		Example: "  oaas deploy delete cart",
		Args:    takes("KEY"), ValidArgsFunction: a.complete(named(deployListing)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, stop, err := a.manager(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			view := deletedView{Deployment: args[0], Deleted: !dryRun, DryRun: dryRun}
			if dryRun {
				_, err = c.Manager(ctx, nil, "deployments", args[0])
			} else {
				_, err = c.ManagerDelete(ctx, "deployments", args[0])
			}
			if err == nil && wait && !dryRun {
				err = waitGone(ctx, c, args[0])
			}
			if err != nil {
				return orHint(err, "list them with: "+a.name()+" deploy list")
			}
			return a.print(view, func() {
				if dryRun {
					fmt.Fprintf(a.Out, "Deployment '%s' would be deleted; nothing was done\n", args[0])
					return
				}
				fmt.Fprintf(a.Out, "Deployment '%s' deleted successfully\n", args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be deleted, but delete nothing")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is gone, at most --timeout")
	perRequest(cmd, "dry-run", "wait")
	return cmd
}

// waitGone waits until a deployment is not there any more.
func waitGone(ctx context.Context, c *client.Client, key string) error {
	return poll(ctx, func() (bool, error) {
		_, err := c.Manager(ctx, nil, "deployments", key)
		if client.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}
