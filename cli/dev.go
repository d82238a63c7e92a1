package cli

import (
	"errors"
	"log/slog"
	"os"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/dev"
	"github.com/hpcclab/oaas-go/runtime/runner"
)

func (a *app) dev() *cobra.Command {
	cfg := dev.Config{Version: version()}
	var logs, debug bool
	cmd := &cobra.Command{
		Use: "dev [DIR...]", Short: "Run the whole platform on this machine, with hot reload", Aliases: []string{"d"},
		Long: `Run the whole platform on this machine: object data grid, function runner and gateway in one process.

The projects in the folders given, and those that were deployed before, are built and deployed. From then on each of them is deployed again
whenever a file in it is saved; the objects keep their state. If it does not build, the error is shown and the old one keeps serving.
Everything is kept in the data folder, so that it is there again after the platform was stopped, or killed.

The first Ctrl-C lets what has begun end; the second stops at once.`,
		Example: `  oaas dev
  oaas dev shop --listen 127.0.0.1:9000
  oaas dev shop sensors --data /var/tmp/oaas --scale-to-zero-grace 5s`,
		Args: takes("DIR..."), ValidArgsFunction: folders,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Projects = args
			if debug {
				cfg.Logger = slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
			cfg.Screen = a.screen(logs)
			return devHint(dev.Run(cmd.Context(), cfg))
		},
	}
	cmd.Flags().StringVar(&cfg.Listen, "listen", dev.DefaultListen, "address to listen on; port 0 takes a free one")
	cmd.Flags().StringVar(&cfg.Zenoh, "zenoh", "", "address of the Zenoh router; port 0 takes a free one (default "+dev.DefaultZenoh+
		" or OPRC_ZENOH_PORT; a free one if that is taken)")
	cmd.Flags().StringVar(&cfg.DataDir, "data", dev.DefaultDataDir, "folder that keeps everything")
	cmd.Flags().DurationVar(&cfg.ScaleToZeroGrace, "scale-to-zero-grace", runner.DefaultScaleToZeroGrace,
		"how long a function's last instance stays without calls")
	cmd.Flags().BoolVar(&cfg.FunctionErrorsOK, "function-errors-ok", false,
		"answer 200 where a function failed by itself, for clients of OaaS-RS that rely on it")
	cmd.Flags().BoolVar(&logs, "logs", true, "show what functions write")
	cmd.Flags().BoolVar(&debug, "debug", false, "write the platform's own log to stderr")
	cmd.AddCommand(a.devServe())
	return cmd
}

// screen gives what shows people what happens.
func (a *app) screen(logs bool) *dev.Screen {
	noColor, _ := a.env("NO_COLOR")
	return &dev.Screen{
		Out: a.Out, Terminal: a.OutTerminal, Color: a.OutTerminal && noColor == "", Width: terminalWidth, Logs: logs,
	}
}

// devHint says what to do when the platform does not start.
func devHint(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return &hinted{err, "another program listens there, perhaps another oaas dev; choose another address with --listen 127.0.0.1:0, or --zenoh 127.0.0.1:0"}
	case fault.CodeOf(err) == fault.AlreadyExists:
		return &hinted{err, "stop it, or choose another folder with --data"}
	case errors.Is(err, os.ErrPermission):
		return &hinted{err, "choose a folder that you may write to with --data"}
	}
	return err
}

// terminalWidth gives the columns of the terminal, 80 if it does not say.
func terminalWidth() int {
	if width, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && width > 0 {
		return width
	}
	return 80
}
