package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/cli/client"
)

// completionTimeout bounds how long a shell waits for suggestions.
const completionTimeout = 2 * time.Second

// suggest gives the values that an argument may have, with those before it known.
type suggest func(ctx context.Context, c *client.Client, args []string, prefix string) ([]string, error)

// complete asks the running platform for suggestions, one function for each argument. A platform that is not there suggests nothing.
func (a *app) complete(each ...suggest) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= len(each) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if err := a.begin(cmd); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := a.stream()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		ctx, stop := context.WithTimeout(context.Background(), completionTimeout)
		defer stop()
		values, err := each[len(args)](ctx, c, args, prefix)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		values = slices.DeleteFunc(values, func(v string) bool { return !strings.HasPrefix(v, prefix) })
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}

// folders completes names of folders.
func folders(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

func classes(ctx context.Context, c *client.Client, _ []string, _ string) ([]string, error) {
	list, err := c.Classes(ctx)
	names := make([]string, len(list))
	for i, one := range list {
		names[i] = one.Name
	}
	return names, err
}

func objects(ctx context.Context, c *client.Client, args []string, prefix string) ([]string, error) {
	list, _, err := c.Objects(ctx, args[0], "", client.Page{Prefix: prefix, Limit: 100})
	ids := make([]string, len(list))
	for i, one := range list {
		ids[i] = one.ID
	}
	return ids, err
}

// methodsThat gives the methods of the class in args for which fits is true.
func methodsThat(ctx context.Context, c *client.Client, args []string, fits func(client.Method) bool) ([]string, error) {
	list, err := c.Classes(ctx)
	var names []string
	for _, one := range list {
		if one.Name != args[0] {
			continue
		}
		for _, m := range one.Methods {
			if fits(m) {
				names = append(names, m.Name)
			}
		}
	}
	return names, err
}

func methods(ctx context.Context, c *client.Client, args []string, _ string) ([]string, error) {
	return methodsThat(ctx, c, args, func(m client.Method) bool { return !m.Stateless })
}

func objectsOrStateless(ctx context.Context, c *client.Client, args []string, prefix string) ([]string, error) {
	names, err := methodsThat(ctx, c, args, func(m client.Method) bool { return m.Stateless })
	if err != nil {
		return nil, err
	}
	ids, err := objects(ctx, c, args, prefix)
	return append(names, ids...), err
}

func functions(ctx context.Context, c *client.Client, _ []string, _ string) ([]string, error) {
	list, err := c.Functions(ctx)
	names := make([]string, len(list))
	for i, one := range list {
		names[i] = one.Name
	}
	return names, err
}

func projects(ctx context.Context, c *client.Client, _ []string, _ string) ([]string, error) {
	list, err := c.Projects(ctx)
	names := make([]string, len(list))
	for i, one := range list {
		names[i] = one.Package
	}
	return names, err
}
