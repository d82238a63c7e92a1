package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/cli/config"
)

// setting is a value with what it comes from.
type setting struct {
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

// fileConfig gives the configuration file, read once. Without a file it is that of OaaS-RS under its names, and an empty one under ours.
func (a *app) fileConfig() (*config.Config, error) {
	if a.file != nil {
		return a.file, nil
	}
	path := config.Path(a.env)
	c, err := config.Load(path)
	if path == "" || errors.Is(err, fs.ErrNotExist) {
		c, err = a.noFile(), nil
	}
	if err != nil {
		return nil, configHint(err, path)
	}
	a.file = c
	return c, nil
}

// noFile is the configuration where there is none.
func (a *app) noFile() *config.Config {
	if a.compat {
		return config.Reference()
	}
	return &config.Config{Contexts: map[string]config.Context{}}
}

// configHint says what to do about a file that cannot be used.
func configHint(err error, path string) error {
	if _, ok := errors.AsType[*config.Problem](err); ok {
		return &hinted{err, "correct the file, or name another one with OPRC_CONFIG_PATH; it was not changed"}
	}
	if errors.Is(err, fs.ErrPermission) {
		return &hinted{err, "make " + path + " yours to read and write, or name another file with OPRC_CONFIG_PATH"}
	}
	return err
}

// current gives the current context, and the words for where it is from. It is empty if the file has none.
func (a *app) current() (config.Context, string, error) {
	c, err := a.fileConfig()
	if err != nil || c.Current == "" {
		return config.Context{}, "", err
	}
	at, there := c.Contexts[c.Current]
	if !there {
		return at, "", &hinted{
			fmt.Errorf("the current context %q is not in the configuration", c.Current),
			"choose one with: " + a.name() + " context select NAME",
		}
	}
	return at, "context " + c.Current, nil
}

// byFlag gives the value of --url if it was given, on the command line or by its variable.
func (a *app) byFlag() (setting, bool) {
	f := a.cmd.Flag("url")
	if f == nil || !f.Changed {
		return setting{}, false
	}
	if a.fromEnv["url"] != "" {
		return setting{a.url, "$" + a.fromEnv["url"]}, true
	}
	return setting{a.url, "--url"}, true
}

// platformURL gives the address of the gateway, or of the Package Manager.
func (a *app) platformURL(manager bool) (setting, error) {
	if s, given := a.byFlag(); given {
		return s, nil
	}
	at, from, err := a.current()
	if err != nil {
		return setting{}, err
	}
	own := at.Gateway
	if manager {
		own = at.PM
	}
	switch {
	case at.URL != "":
		return setting{at.URL, from}, nil
	case own != "":
		return setting{own, from}, nil
	}
	return setting{client.DefaultURL, "default"}, nil
}

// defaultClass gives the class for commands that name none.
func (a *app) defaultClass(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	at, _, err := a.current()
	if err != nil {
		return "", err
	}
	if at.Class == "" {
		return "", &usageError{a.cmd, errors.New("no class: name one with -c CLASS, or set it with: " + a.name() + " context set --cls CLASS")}
	}
	return at.Class, nil
}

// name is the name under which the program was called.
func (a *app) name() string {
	if a.compat {
		return a.called
	}
	return "oaas"
}

// begin prepares the command that runs.
func (a *app) begin(cmd *cobra.Command) error {
	a.cmd = cmd
	if err := a.applyEnv(cmd); err != nil {
		return err
	}
	if form := cmd.Flag("output"); a.compat && cmd.Annotations["form"] == "json" && form != nil && !form.Changed {
		a.output = jsonFormat
	}
	return nil
}

// from tells where an address is from, for errors about it.
func (s setting) from() string {
	if s.Origin == "default" || strings.HasPrefix(s.Origin, "-") {
		return ""
	}
	return " (from " + s.Origin + ")"
}
