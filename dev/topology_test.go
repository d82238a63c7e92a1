package dev

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/hpcclab/oaas-go/broker/topology"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/pm"
)

// The Zenoh view shows the platform's router with the class and the function behind it, and counts a client that comes and goes.
func TestZenohTopology(t *testing.T) {
	r := open(t, t.TempDir())
	r.mustPost("/packages", `{"name":"p",`+cartClass+`,"functions":[{"key":"fn","url":"http://127.0.0.1:1"}]}`)
	view := func() (nodes map[string]pm.Node, edges []string) {
		t.Helper()
		status, text := r.request("GET", "/api/v1/topology?source=zenoh", "", nil)
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
		g := decode[pm.Topology](t, text)
		nodes = map[string]pm.Node{}
		for _, n := range g.Nodes {
			nodes[n.NodeType] = n
		}
		for _, e := range g.Edges {
			edges = append(edges, e.FromID+" "+e.ToID)
		}
		if len(nodes) != len(g.Nodes) || g.Timestamp.Seconds == 0 {
			t.Fatalf("more than one of a kind, or no time: %s", text)
		}
		return nodes, edges
	}
	nodes, edges := view()
	if n := nodes["router"]; len(nodes) != 1 || len(edges) != 0 || n.Metadata["classes"] != "" || n.Metadata["odgm_objects"] != "false" {
		t.Errorf("before anything is deployed: %v, %v", nodes, edges)
	}
	clients := func() int {
		nodes, _ := view()
		n, err := strconv.Atoi(nodes["router"].Metadata["sessions_client"])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := clients() // the grid is one
	_, body := r.request("GET", control.StatusPath, "", nil)
	s := zenohClient(t, decode[control.Status](t, body).Zenoh)
	r.eventually("the client is counted", func() bool { return clients() == before+1 })
	r.mustPost("/deployments", `{"key":"d","package_name":"p","class_key":"cart"}`)
	var router pm.Node
	r.eventually("the class is behind the router", func() bool {
		nodes, edges = view()
		router = nodes["router"]
		return slices.Equal(router.DeployedClasses, []string{"p.cart"}) && len(nodes) == 3
	})
	m := router.Metadata
	if m["classes"] != "p.cart" || m["functions"] != "add" || m["odgm_objects"] != "true" || m["sessions_router"] != "0" || m["sessions_peer"] != "0" {
		t.Errorf("router %v", router)
	}
	id := nodes["odgm"].Metadata["router"]
	if router.ID != "router::"+id || nodes["odgm"].ID != "odgm::"+id {
		t.Errorf("grid %v behind %s", nodes["odgm"], router.ID)
	}
	if f := nodes["function"]; f.ID != "function::add" || f.Metadata["routers"] != id {
		t.Errorf("function %v", f)
	}
	if want := []string{router.ID + " function::add", router.ID + " odgm::" + id}; !slices.Equal(edges, want) {
		t.Errorf("edges %q, want %q", edges, want)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.eventually("the client is gone", func() bool { return clients() == before })
}

// Several routers: an edge that two kinds of entries tell is one, and a function names all its routers.
func TestZenohGraph(t *testing.T) {
	var b topology.Builder
	for _, told := range [][2]string{
		{"@/aa/router", "{}"}, {"@/aa/router/session/transport/unicast/bb", `{"whatami":"router"}`},
		{"@/aa/router/linkstate/routers", "graph {\n 0 [ label = \"aa\" ]\n 1 [ label = \"bb\" ]\n 0 -- 1 [ ]\n}"},
		{"@/aa/router/route/successor/src/aa/dst/bb", ""},
		{"@/aa/router/queryable/oprc/p.c/*/invokes/f", ""}, {"@/bb/router/queryable/oprc/p.d/*/invokes/f", ""},
	} {
		b.Add(told[0], []byte(told[1]))
	}
	got, err := json.Marshal(zenohGraph(b.Picture()))
	want := `{"nodes":[` +
		`{"id":"router::aa","node_type":"router","status":"healthy","metadata":{"classes":"p.c","functions":"f","odgm_objects":"false","sessions_client":"0","sessions_peer":"0","sessions_router":"1"},"deployed_classes":["p.c"]},` +
		`{"id":"router::bb","node_type":"router","status":"healthy","metadata":{"classes":"p.d","functions":"f","odgm_objects":"false","sessions_client":"0","sessions_peer":"0","sessions_router":"0"},"deployed_classes":["p.d"]},` +
		`{"id":"function::f","node_type":"function","status":"healthy","metadata":{"routers":"aa,bb"},"deployed_classes":[]}],` +
		`"edges":[{"from_id":"router::aa","to_id":"router::bb","metadata":{}},{"from_id":"router::bb","to_id":"router::aa","metadata":{}},` +
		`{"from_id":"router::aa","to_id":"function::f","metadata":{}},{"from_id":"router::bb","to_id":"function::f","metadata":{}}],` +
		`"timestamp":{"seconds":0,"nanos":0}}`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}
