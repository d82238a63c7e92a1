package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

var (
	packageListing = listing{kind: "packages", noun: "package", columns: []column{
		{"NAME", "name"}, {"VERSION", "version"}, {"CLASSES", "classes.*.key"}, {"FUNCTIONS", "functions.*.key"},
	}}
	classListing = listing{kind: "classes", noun: "class", filter: "filter", columns: []column{
		{"NAME", "key"}, {"METHODS", "function_bindings.*.name"}, {"CONSISTENCY", "state_spec.consistency_model"},
		{"PERSISTENT", "state_spec.persistent"},
	}}
	functionListing = listing{kind: "functions", noun: "function", filter: "filter", columns: []column{
		{"NAME", "key"}, {"TYPE", "function_type"}, {"IMAGE", "provision_config.container_image"},
	}}
	deployListing = listing{kind: "deployments", noun: "deployment", settled: deploymentSettled, columns: []column{
		{"KEY", "key"}, {"PACKAGE", "package_name"}, {"CLASS", "class_key"}, {"ENVIRONMENTS", "target_envs"}, {"CONDITION", "condition"},
	}}
	runtimeListing = listing{kind: "class-runtimes", noun: "class runtime", settled: runtimeSettled, columns: []column{
		{"ID", "id"}, {"CLASS", "class_key"}, {"ENVIRONMENT", "cluster_name"}, {"PARTITIONS", "partition_count"},
		{"CONDITION", "status.condition"}, {"PHASE", "status.phase"}, {"MESSAGE", "status.message"},
	}}
	envListing = listing{kind: "envs", noun: "environment", columns: []column{
		{"NAME", "name"}, {"STATUS", "health.status"}, {"READY", "health.ready_nodes"}, {"NODES", "health.node_count"},
		{"AVAILABILITY", "health.availability"},
	}}
)

// deploymentSettled says whether a deployment runs.
func deploymentSettled(item any) (bool, error) {
	switch condition := field(item, "condition"); condition {
	case "RUNNING":
		return true, nil
	case "DOWN", "DELETED":
		return false, fmt.Errorf("deployment %s is %s", field(item, "key"), condition)
	}
	return false, nil
}

// runtimeSettled says whether a class runtime runs.
func runtimeSettled(item any) (bool, error) {
	condition, phase := field(item, "status.condition"), field(item, "status.phase")
	switch {
	case condition == "Running":
		return true, nil
	case condition == "Down", condition == "Deleted", phase == "FAILED":
		return false, fmt.Errorf("class runtime %s is %s: %s", field(item, "id"), condition, field(item, "status.message"))
	}
	return false, nil
}

func (a *app) class() *cobra.Command {
	cmd := group("class", "Look at and delete the classes of packages", "  oaas class list\n  oaas class delete shop.cart", "cls", "c")
	cmd.AddCommand(
		a.list(classListing, "list [NAME]", "List the classes of all packages, or those whose name has NAME in it",
			"  oaas class list\n  oaas class list cart -o json"),
		a.classDelete(),
	)
	return cmd
}

func (a *app) classDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete a class from its package", Aliases: []string{"d", "rm"},
		Example: "  oaas class delete shop.cart",
		Args:    takes("NAME"), ValidArgsFunction: a.complete(named(classListing)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, stop, err := a.manager(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			if _, err := c.ManagerDelete(ctx, "classes", args[0]); err != nil {
				return orHint(err, "list them with: "+a.name()+" class list")
			}
			return a.print(deletedView{Class: args[0], Deleted: true}, func() { fmt.Fprintf(a.Out, "Class '%s' deleted successfully\n", args[0]) })
		},
	}
	return cmd
}

// deletedView says what was deleted as -o json gives it.
type deletedView struct {
	Package     string   `json:"package,omitempty"`
	Class       string   `json:"class,omitempty"`
	Deployment  string   `json:"deployment,omitempty"`
	Deployments []string `json:"deployments,omitempty"`
	Deleted     bool     `json:"deleted"`
	// DryRun says that nothing was done.
	DryRun bool `json:"dry_run,omitempty"`
}

func (a *app) functions() *cobra.Command {
	cmd := group("function", "Look at the functions of packages", "  oprc-cli function list", "fn", "f")
	cmd.AddCommand(a.list(functionListing, "list [NAME]", "List the functions of all packages", "  oprc-cli function list"))
	return cmd
}

func (a *app) classRuntimes() *cobra.Command {
	cmd := group("class-runtimes", "Look at the classes that run", "  oaas class-runtimes list --wait", "cr", "runtimes", "rts")
	cmd.AddCommand(a.list(runtimeListing, "list [ID]", "List the classes that run with their state, or show one",
		"  oaas class-runtimes list\n  oaas class-runtimes list --watch"))
	return cmd
}

func (a *app) environments() *cobra.Command {
	cmd := group("environments", "Look at the environments that packages are deployed to", "  oaas environments list", "envs", "env", "clu", "cl")
	cmd.AddCommand(a.list(envListing, "list", "List the environments with their health", "  oaas environments list"))
	return cmd
}
