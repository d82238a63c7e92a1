package dev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/broker/zenoh/router"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
	"github.com/hpcclab/oaas-go/broker/zenohenv"
	"github.com/hpcclab/oaas-go/odgm/endpoint"
)

// DefaultZenoh is where the router of the platform listens, on the port that the charts of OaaS-RS have.
const DefaultZenoh = "127.0.0.1:17447"

// mesh is the Zenoh side of the platform: a router for clients and functions, and the grid on a session of it that needs no socket.
type mesh struct {
	router   *router.Router
	session  *zenoh.Session
	endpoint *endpoint.Endpoint
	// address is where clients on this machine connect to.
	address string
	// note says why that is not what was to be expected.
	note string
}

// openMesh opens router, session and endpoint. The variables OPRC_ZENOH_* count as for oaas-router, but for what a laptop should not do unless
// asked: it listens on this machine alone, and does not look around by multicast.
func openMesh(ctx context.Context, p *platform, registry *prometheus.Registry) (*mesh, error) {
	config, listen, err := meshConfig(p.cfg.Zenoh, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	config.Logger = p.log
	config.Transport.ZID = wire.NewZID()
	local := "inproc/oaas-" + config.Transport.ZID.String()
	m := &mesh{}
	open := func(endpoints ...string) (err error) {
		config.Listen = append(endpoints, local)
		config.Connect = slices.DeleteFunc(slices.Clone(config.Connect), func(e string) bool { return slices.Contains(endpoints, e) })
		m.router, err = router.Open(ctx, config)
		return err
	}
	err = open(listen...)
	if p.cfg.Zenoh == "" && len(listen) == 1 && listen[0] == "tcp/"+DefaultZenoh && errors.Is(err, syscall.EADDRINUSE) {
		m.note = "another program has " + DefaultZenoh
		err = open("tcp/127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("start the Zenoh router: %w", err)
	}
	m.address = m.router.Locators()[0]
	sc := zenoh.NewConfigDefault()
	sc.Mode, sc.Connect.Endpoints, sc.Scouting.Multicast.Disabled, sc.Logger = zenoh.Client, []string{local}, true, p.log
	if m.session, err = zenoh.Open(ctx, sc); err != nil {
		return nil, errors.Join(fmt.Errorf("connect the grid to the Zenoh router: %w", err), m.close(ctx))
	}
	ec, err := endpoint.FromEnv(os.LookupEnv)
	if err != nil {
		return nil, errors.Join(err, m.close(ctx))
	}
	ec.Version, ec.Modules, ec.Logger, ec.Registerer = p.cfg.Version, true, p.log, registry
	if m.endpoint, err = endpoint.Open(ctx, m.session, observed{p.grid, p.activity}, ec); err != nil {
		return nil, errors.Join(err, m.close(ctx))
	}
	return m, nil
}

// meshConfig gives the configuration of the router, and where it listens for others.
func meshConfig(address string, lookup func(string) (string, bool)) (config router.Config, listen []string, err error) {
	_, port, err := net.SplitHostPort(DefaultZenoh)
	if err != nil {
		return config, nil, fmt.Errorf("default address: %w", err)
	}
	var number uint16
	if _, err := fmt.Sscan(port, &number); err != nil {
		return config, nil, fmt.Errorf("default port: %w", err)
	}
	loaded, err := zenohenv.Load(lookup, zenohenv.Defaults{Mode: "router", Port: number})
	if err != nil {
		return config, nil, err
	}
	if loaded.Scouting.Multicast.Enabled == nil {
		loaded.Scouting.Multicast.Enabled = new(false)
	}
	loaded.Admin.Enabled = true
	if config, err = loaded.RouterConfig(); err != nil {
		return config, nil, err
	}
	listen = config.Listen
	switch origin := loaded.Origins["listen/endpoints"]; {
	case address != "":
		listen = []string{"tcp/" + address}
	case origin == "default":
		listen = []string{"tcp/" + DefaultZenoh}
	case origin == zenohenv.Prefix+"PORT":
		given, _ := lookup(origin)
		listen = []string{"tcp/" + net.JoinHostPort("127.0.0.1", given)}
	}
	return config, listen, nil
}

// leave ends what the grid has on Zenoh; clients and functions stay connected to the router.
func (m *mesh) leave(ctx context.Context) error {
	if m == nil || m.endpoint == nil {
		return nil
	}
	return m.endpoint.Close(ctx)
}

// close ends session and router.
func (m *mesh) close(ctx context.Context) error {
	if m == nil {
		return nil
	}
	var errs []error
	if m.session != nil {
		errs = append(errs, m.session.Close(ctx))
	}
	return errors.Join(append(errs, m.router.Close(ctx))...)
}
