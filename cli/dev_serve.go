package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/dev"
	"github.com/hpcclab/oaas-go/dev/project"
)

// compatDev is `dev` as OaaS-RS has it, which only has a subcommand.
func (a *app) compatDev() *cobra.Command {
	cmd := group("dev", "Run the platform on this machine", "  oaas dev serve", "d")
	cmd.AddCommand(a.devServe())
	return cmd
}

// devServe is `oaas dev` with the arguments of OaaS-RS. There the Package Manager is on the port, and the gateway on the next one; here one server
// is both, so that the next port leads to the same one.
func (a *app) devServe() *cobra.Command {
	cfg := dev.Config{Version: version()}
	var file string
	var port uint16
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the platform with the package of a file",
		Long: `Run the platform with the package of a file. It is oaas dev with the arguments of OaaS-RS's command line: the Package Manager
is on the port, and the gateway on it and on the next one.`,
		Example: "  oaas dev serve -c shop/oaas-package.yaml -p 8080", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := projectOf(file)
			if err != nil {
				return err
			}
			host := "127.0.0.1:"
			cfg.Projects, cfg.Listen = []string{dir}, host+strconv.Itoa(int(port))
			cfg.Screen = a.screen(true)
			next, err := net.Listen("tcp", host+strconv.Itoa(int(port)+1))
			if err != nil {
				return devHint(fmt.Errorf("start the gateway: %w", err))
			}
			ctx, stop := context.WithCancel(cmd.Context())
			var forwarding sync.WaitGroup
			forwarding.Go(func() { forward(ctx, next, cfg.Listen) })
			err = dev.Run(ctx, cfg)
			stop()
			forwarding.Wait()
			return devHint(err)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", project.FileName, "the package file")
	cmd.Flags().Uint16VarP(&port, "port", "p", 8080, "port of the Package Manager; the gateway is on the next one")
	cmd.Flags().StringVar(&cfg.DataDir, "data", dev.DefaultDataDir, "folder that keeps everything")
	perRequest(cmd, "config", "port")
	return cmd
}

// projectOf gives the folder of a package file.
func projectOf(file string) (string, error) {
	if _, err := os.Stat(file); err != nil {
		return "", &hinted{err, "name the package file with -c FILE"}
	}
	if filepath.Base(file) != project.FileName {
		return "", &hinted{fmt.Errorf("%s is not called %s", file, project.FileName), "a project is a folder with a file of that name"}
	}
	return filepath.Abs(filepath.Dir(file))
}

// forward leads each connection to another address, until ctx ends.
func forward(ctx context.Context, from net.Listener, to string) {
	context.AfterFunc(ctx, func() { from.Close() }) //nolint:errcheck // nothing was written to it
	var open sync.WaitGroup
	defer open.Wait()
	for {
		in, err := from.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of one connection
		}
		open.Go(func() { join(ctx, in, to) })
	}
}

// join copies both ways until both ends are closed, or ctx ends.
func join(ctx context.Context, in net.Conn, to string) {
	defer in.Close() //nolint:errcheck // what was to be written is written
	var d net.Dialer
	out, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	defer out.Close()                                                  //nolint:errcheck // what was to be written is written
	stop := context.AfterFunc(ctx, func() { in.Close(); out.Close() }) //nolint:errcheck // they are given up
	defer stop()
	var copying sync.WaitGroup
	copying.Go(func() { pipe(out, in) })
	copying.Go(func() { pipe(in, out) })
	copying.Wait()
}

// pipe copies until the source ends, and tells the other side.
func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from) // a connection that breaks ends both ways
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite() // it may be closed already
	}
}
