package pm

import (
	"context"
	"strconv"

	"github.com/hpcclab/oaas-go/api/fault"
)

// ZenohView tells what the Zenoh network looks like: routers, functions and grids.
type ZenohView interface {
	Topology(ctx context.Context) (Topology, error)
}

// Topology is a graph of what there is, in the JSON of OaaS-RS.
type Topology struct {
	Nodes     []Node    `json:"nodes"`
	Edges     []Edge    `json:"edges"`
	Timestamp Timestamp `json:"timestamp"`
}

// Node is a thing in a topology: a package, class, function, environment, router or grid.
type Node struct {
	ID              string            `json:"id"`
	NodeType        string            `json:"node_type"`
	Status          string            `json:"status"`
	Metadata        map[string]string `json:"metadata"`
	DeployedClasses []string          `json:"deployed_classes"`
}

// Edge leads from one node to another.
type Edge struct {
	FromID   string            `json:"from_id"`
	ToID     string            `json:"to_id"`
	Metadata map[string]string `json:"metadata"`
}

// Timestamp is a time as protobuf has it.
type Timestamp struct {
	Seconds int64 `json:"seconds"`
	Nanos   int32 `json:"nanos"`
}

// ZenohTopology gives what the Zenoh network looks like.
func (m *Manager) ZenohTopology(ctx context.Context) (Topology, error) {
	if m.opt.Zenoh == nil {
		return Topology{}, fault.New(fault.Unavailable, "the Zenoh topology is not known here: no Zenoh router is configured")
	}
	t, err := m.opt.Zenoh.Topology(ctx)
	t.Nodes, t.Edges = orEmpty(t.Nodes), orEmpty(t.Edges)
	return t, err
}

// Topology gives packages, classes, functions, and the environments that classes are deployed to.
func (m *Manager) Topology(ctx context.Context) (Topology, error) {
	now := m.now()
	t := Topology{Nodes: []Node{}, Edges: []Edge{}, Timestamp: Timestamp{now.Unix(), int32(now.Nanosecond())}}
	packages, err := m.Packages(ctx, PackageFilter{})
	if err != nil {
		return t, err
	}
	deployments, err := m.Deployments(ctx, DeploymentFilter{})
	if err != nil {
		return t, err
	}
	partitions := map[string]uint32{}
	for _, d := range deployments {
		partitions[d.PackageName+"."+d.ClassKey] = *d.Odgm.PartitionCount
	}
	const healthy = "healthy"
	for _, p := range packages {
		from := "package::" + p.Name
		t.Nodes = append(t.Nodes, Node{from, "package", healthy, map[string]string{}, []string{}})
		for i := range p.Classes {
			c := &p.Classes[i]
			id := "class::" + p.ClassName(c.Key)
			metadata := map[string]string{"package": p.Name, "partitions": strconv.Itoa(int(max(1, partitions[p.ClassName(c.Key)])))}
			t.Nodes = append(t.Nodes, Node{id, "class", healthy, metadata, []string{p.ClassName(c.Key)}})
			t.link(from, id)
			seen := map[string]bool{}
			for _, b := range c.Bindings {
				if seen[b.FunctionKey] {
					continue
				}
				seen[b.FunctionKey] = true
				function := "function::" + p.ClassName(c.Key) + "::" + b.FunctionKey
				t.Nodes = append(t.Nodes, Node{function, "function", healthy, map[string]string{"class": p.ClassName(c.Key)}, []string{}})
				t.link(id, function)
			}
		}
	}
	known := map[string]bool{}
	for _, d := range deployments {
		for _, env := range d.TargetEnvs {
			id := "env::" + env
			if !known[env] {
				known[env] = true
				t.Nodes = append(t.Nodes, Node{id, "environment", healthy, map[string]string{"name": env}, []string{}})
			}
			t.link("class::"+d.PackageName+"."+d.ClassKey, id)
		}
	}
	return t, nil
}

func (t *Topology) link(from, to string) {
	t.Edges = append(t.Edges, Edge{from, to, map[string]string{}})
}
