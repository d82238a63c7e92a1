package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/cli/client/mesh"
	"github.com/hpcclab/oaas-go/cli/client/rpc"
)

// grid is the data plane as one of the transports reaches it.
type grid interface {
	reader
	writer
	caller
	URL() string
	Close()
}

type reader interface {
	Object(context.Context, client.Ref) (*client.Object, error)
	Entry(ctx context.Context, ref client.Ref, key string) ([]byte, error)
	// Objects and Entries give the cursor of the next page, "" after the last one.
	Objects(ctx context.Context, class, partition string, page client.Page) ([]client.ObjectRow, string, error)
	Entries(context.Context, client.Ref, client.Page) (entries []client.EntryRow, version uint64, next string, err error)
}

type writer interface {
	// Write gives the object's version afterwards, 0 where the transport does not tell.
	Write(context.Context, client.Ref, client.Change) (uint64, error)
	Delete(ctx context.Context, ref client.Ref, version *uint64) error
}

type caller interface {
	Invoke(context.Context, client.Call) (*client.Answer, error)
	InvokeAsync(context.Context, client.Call) (id string, err error)
	Result(ctx context.Context, call client.Call, id string, wait time.Duration) (*client.Invocation, error)
}

var (
	_ grid = (*client.Client)(nil)
	_ grid = (*rpc.Client)(nil)
	_ grid = (*mesh.Client)(nil)
)

// transportFlags say how data commands reach the data plane.
type transportFlags struct {
	grpc, zenoh string
	peer        bool
}

func (f *transportFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.grpc, "grpc-url", "g", "", "use gRPC, at this address")
	cmd.Flags().StringVarP(&f.zenoh, "zenoh-peer", "z", "", "use Zenoh, at this endpoint, or several with commas: tcp/HOST:PORT")
	cmd.Flags().BoolVar(&f.peer, "peer", false, "be a peer in Zenoh, and not a client")
	perRequest(cmd, "grpc-url", "zenoh-peer", "peer")
}

// grid gives the data plane by the transport that the flags and the current context choose, and a context that ends with the timeout.
func (a *app) grid(ctx context.Context, f *transportFlags) (context.Context, grid, context.CancelFunc, error) {
	g, err := a.dial(ctx, f)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, stop := a.withTimeout(ctx, g.URL())
	return ctx, g, func() { stop(); g.Close() }, nil
}

// dial chooses the transport: what a flag names; else gRPC if the context says so; else HTTP, or Zenoh under the names of OaaS-RS.
func (a *app) dial(ctx context.Context, f *transportFlags) (grid, error) {
	_, http := a.byFlag()
	at, from, err := a.current()
	if err != nil && f.grpc == "" && f.zenoh == "" && !http {
		return nil, err
	}
	useGRPC := at.UseGRPC != nil && *at.UseGRPC
	switch {
	case f.grpc != "":
		return a.dialGRPC(setting{f.grpc, "--grpc-url"})
	case f.zenoh != "" || f.peer:
		return a.dialZenoh(ctx, f)
	case http:
	case useGRPC:
		url, err := a.platformURL(false)
		if err != nil {
			return nil, err
		}
		return a.dialGRPC(url)
	case a.compat && at.Zenoh != "" && from != "":
		return a.dialZenoh(ctx, f)
	}
	return a.connect(false)
}

func (a *app) dialGRPC(at setting) (grid, error) {
	a.at = at
	c, err := rpc.Dial(at.Value)
	if err != nil {
		return nil, &hinted{fmt.Errorf("%w%s", err, at.from()), "name one with -g http://HOST:PORT"}
	}
	return c, nil
}

// zenohOf gives the endpoints to connect to, and where they are from.
func (a *app) zenohOf(f *transportFlags) (setting, error) {
	if f.zenoh != "" {
		return setting{f.zenoh, "--zenoh-peer"}, nil
	}
	at, from, err := a.current()
	if err != nil {
		return setting{}, err
	}
	if at.Zenoh == "" && !f.peer {
		return setting{}, &usageError{a.cmd, fmt.Errorf(
			"no Zenoh endpoint: name one with -z tcp/HOST:PORT, or set it with: %s context set --zenoh-peer", a.name())}
	}
	return setting{at.Zenoh, from}, nil
}

func (a *app) dialZenoh(ctx context.Context, f *transportFlags) (*mesh.Client, error) {
	at, err := a.zenohOf(f)
	if err != nil {
		return nil, err
	}
	a.at = at
	ctx, stop := a.withTimeout(ctx, at.Value)
	defer stop()
	var endpoints []string
	for _, e := range strings.Split(at.Value, ",") {
		if e = strings.TrimSpace(e); e != "" {
			endpoints = append(endpoints, e)
		}
	}
	c, err := mesh.Open(ctx, endpoints, f.peer)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, at.from())
	}
	return c, nil
}
