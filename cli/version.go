package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is the release; the build sets it with -ldflags "-X github.com/hpcclab/oaas-go/cli.Version=…".
var Version = ""

// version gives the release, or what the build knows of its source.
func version() string {
	if Version != "" {
		return Version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: takes(),
		Example: "  oaas version\n  oaas version -o json",
		RunE: func(*cobra.Command, []string) error {
			view := struct {
				Version  string `json:"version"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return a.print(view, func() { fmt.Fprintf(a.Out, "oaas %s (%s, %s)\n", view.Version, view.Go, view.Platform) })
		},
	}
}
