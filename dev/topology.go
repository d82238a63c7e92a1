package dev

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/broker/topology"
	"github.com/hpcclab/oaas-go/pm"
)

var _ pm.ZenohView = (*mesh)(nil)

// Topology tells what the platform's router, and others that it reaches, say in their admin space.
func (m *mesh) Topology(ctx context.Context) (pm.Topology, error) {
	p, err := topology.Read(ctx, m.session)
	if err != nil {
		return pm.Topology{}, fault.New(fault.Unavailable, "%v", err)
	}
	if len(p.Routers) == 0 {
		return pm.Topology{}, fault.New(fault.Unavailable, "no Zenoh router answers for %s; the platform may be stopping", topology.AdminSpace)
	}
	now := time.Now()
	g := zenohGraph(p)
	g.Timestamp = pm.Timestamp{Seconds: now.Unix(), Nanos: int32(now.Nanosecond())}
	return g, nil
}

// zenohGraph makes the nodes and edges of OaaS-RS, in the order of the ids.
func zenohGraph(p *topology.Picture) (g pm.Topology) {
	node := func(id, kind string, classes []string, metadata map[string]string) {
		g.Nodes = append(g.Nodes, pm.Node{ID: kind + "::" + id, NodeType: kind, Status: "healthy", Metadata: metadata, DeployedClasses: classes})
	}
	linked := map[[2]string]bool{}
	link := func(from, to string) {
		if ends := [2]string{from, to}; !linked[ends] { // both kinds of edges may tell the same
			linked[ends] = true
			g.Edges = append(g.Edges, pm.Edge{FromID: from, ToID: to, Metadata: map[string]string{}})
		}
	}
	info := map[string]topology.RouterInfo{}
	for _, i := range p.Info {
		info[i.ID] = i
	}
	for _, r := range p.Routers {
		i, sessions := info[r.ID], p.PerKind[r.ID]
		node(r.ID, "router", append([]string{}, i.Classes...), map[string]string{
			"functions": strings.Join(i.Functions, ","), "classes": strings.Join(i.Classes, ","), "odgm_objects": strconv.FormatBool(i.Objects),
			"sessions_client": strconv.Itoa(sessions["client"]), "sessions_peer": strconv.Itoa(sessions["peer"]),
			"sessions_router": strconv.Itoa(sessions["router"]),
		})
	}
	for _, e := range p.Edges {
		link("router::"+e.Source, "router::"+e.Target)
	}
	behind := map[string][]string{} // by function: its routers
	for _, i := range p.Info {
		for _, f := range i.Functions {
			behind[f] = append(behind[f], i.ID)
			link("router::"+i.ID, "function::"+f)
		}
		if i.Objects {
			node(i.ID, "odgm", []string{}, map[string]string{"router": i.ID})
			link("router::"+i.ID, "odgm::"+i.ID)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(behind)) {
		node(f, "function", []string{}, map[string]string{"routers": strings.Join(behind[f], ",")})
	}
	return g
}
