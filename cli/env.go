package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// noEnv marks flags that belong to one request (a payload, a version, a key), which would do harm if they lay about in an environment.
const noEnv = "oaas-no-env"

// perRequest takes flags of a command out of the environment.
func perRequest(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		must(cmd.Flags().SetAnnotation(name, noEnv, []string{"true"}))
	}
}

// envName gives the variable of a flag, or "" if it has none.
func envName(f *pflag.Flag) string {
	if f.Name == "help" || f.Annotations[noEnv] != nil {
		return ""
	}
	return "OAAS_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// oldEnv are the variables of OaaS-RS's documents for some flags.
var oldEnv = map[string]string{"timeout": "OPRC_TIMEOUT_SECS", "retries": "OPRC_RETRIES", "output": "OPRC_OUTPUT"}

// applyEnv gives flags that are not on the command line the values of their variables.
func (a *app) applyEnv(cmd *cobra.Command) error {
	a.fromEnv = map[string]string{}
	var failed error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name, value := a.variable(f)
		if f.Changed || name == "" || failed != nil {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			failed = &usageError{cmd, fmt.Errorf("environment variable %s: %w", name, err)}
		}
		a.fromEnv[f.Name] = name
	})
	return failed
}

// variable gives the variable that is set for a flag, and its value; "" if there is none.
func (a *app) variable(f *pflag.Flag) (name, value string) {
	if name = envName(f); name == "" {
		return "", ""
	}
	if value, _ = a.env(name); value != "" {
		return name, value
	}
	old := oldEnv[f.Name]
	if value, _ = a.env(old); old == "" || value == "" {
		return "", ""
	}
	if _, err := strconv.ParseFloat(value, 64); err == nil && f.Name == "timeout" {
		value += "s"
	}
	return old, value
}

// describeEnv adds the variables to the help of all flags.
func describeEnv(cmd *cobra.Command) {
	describe := func(f *pflag.Flag) {
		if name := envName(f); name != "" && !strings.Contains(f.Usage, name) {
			f.Usage += " ($" + name + ")"
		}
	}
	if cmd.Name() == "completion" || cmd.Name() == "help" {
		return
	}
	cmd.LocalNonPersistentFlags().VisitAll(describe)
	cmd.PersistentFlags().VisitAll(describe)
	for _, sub := range cmd.Commands() {
		describeEnv(sub)
	}
}
