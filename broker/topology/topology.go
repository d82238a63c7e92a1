// Package topology makes a picture of a Zenoh network from what its routers tell in their admin space.
//
// [Read] asks a session's network; a [Builder] takes replies one by one, for who asks in another way.
//
// Guarantee: any key and any payload may be added, also none of a router; what does not say anything is left out. The picture does not depend on
// the order of what was added.
package topology

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Node is a node of the network.
type Node struct {
	ID   string `json:"id"`
	Type string `json:"node_type"`
}

// The kinds of edges: what a router says of all routers, and the way that it sends to another one.
const (
	Linkstate = "linkstate"
	Successor = "successor"
)

// Edge connects two routers.
type Edge struct {
	Source string `json:"source"`
	Target string `json:"target"`
	Kind   string `json:"kind"`
}

// RouterInfo is what is declared behind a router.
type RouterInfo struct {
	ID        string   `json:"id"`
	Functions []string `json:"functions"`
	// Objects says whether a data grid is behind it.
	Objects bool     `json:"odgm_objects"`
	Classes []string `json:"classes"`
}

// Picture is the network.
type Picture struct {
	Routers  []Node `json:"routers"`
	Sessions []Node `json:"sessions"`
	Edges    []Edge `json:"edges"`
	// PerOwner counts the sessions of each router.
	PerOwner map[string]int `json:"sessions_per_owner"`
	// PerKind counts them by router and what is at the other end: client, peer or router.
	PerKind map[string]map[string]int `json:"-"`
	Info    []RouterInfo              `json:"router_info"`
}

// Builder gathers what is told. The zero value is ready.
type Builder struct {
	routers  map[string]bool
	sessions map[Node]map[string]bool // by node: the routers that it has a session with
	edges    map[Edge]bool
	info     map[string]*declared
}

type declared struct {
	functions, classes map[string]bool
	objects            bool
}

// Add adds a reply of the admin space.
func (b *Builder) Add(key string, payload []byte) {
	parts := strings.Split(key, "/")
	if len(parts) < 3 || parts[0] != "@" || parts[2] != "router" {
		return
	}
	b.prepare()
	router, rest := parts[1], parts[3:]
	b.routers[router] = true
	switch {
	case len(rest) >= 4 && slices.Equal(rest[:3], []string{"session", "transport", "unicast"}):
		b.session(router, rest[3], payload)
	case len(rest) >= 2 && rest[0] == "linkstate" && rest[1] == "routers":
		b.linkstate(string(payload))
	case len(rest) >= 6 && rest[0] == "route" && rest[1] == "successor" && rest[2] == "src" && rest[4] == "dst":
		b.routers[rest[3]], b.routers[rest[5]] = true, true
		b.edges[Edge{rest[3], rest[5], Successor}] = true
	case len(rest) >= 3 && (rest[0] == "subscriber" || rest[0] == "queryable") && rest[1] == "oprc":
		b.declared(router, rest[2:])
	}
}

func (b *Builder) prepare() {
	if b.routers == nil {
		b.routers, b.edges = map[string]bool{}, map[Edge]bool{}
		b.sessions, b.info = map[Node]map[string]bool{}, map[string]*declared{}
	}
}

func (b *Builder) session(router, id string, payload []byte) {
	var told struct {
		WhatAmI string `json:"whatami"`
	}
	if json.Unmarshal(payload, &told) != nil || told.WhatAmI == "" {
		return
	}
	n := Node{id, told.WhatAmI}
	if b.sessions[n] == nil {
		b.sessions[n] = map[string]bool{}
	}
	b.sessions[n][router] = true
}

var (
	dotNode = regexp.MustCompile(`(?m)^\s*(\d+)\s*\[\s*label\s*=\s*"([0-9a-fA-F]{1,32})"`)
	dotEdge = regexp.MustCompile(`(?m)^\s*(\d+)\s*--\s*(\d+)`)
)

// linkstate reads the graph in the language of Graphviz.
func (b *Builder) linkstate(text string) {
	names := map[string]string{}
	for _, m := range dotNode.FindAllStringSubmatch(text, -1) {
		names[m[1]] = strings.ToLower(m[2])
		b.routers[names[m[1]]] = true
	}
	for _, m := range dotEdge.FindAllStringSubmatch(text, -1) {
		x, y := names[m[1]], names[m[2]]
		if x != "" && y != "" {
			b.edges[Edge{x, y, Linkstate}], b.edges[Edge{y, x, Linkstate}] = true, true
		}
	}
}

// declared reads the key of a subscriber or queryable, behind oprc/: class, partition, and what it is for.
func (b *Builder) declared(router string, key []string) {
	d := b.info[router]
	if d == nil {
		d = &declared{functions: map[string]bool{}, classes: map[string]bool{}}
		b.info[router] = d
	}
	if !strings.HasPrefix(key[0], "*") {
		d.classes[key[0]] = true
	}
	if at := slices.Index(key, "invokes"); at >= 0 && at+1 < len(key) {
		if !strings.HasPrefix(key[at+1], "*") { // the grid takes calls without an answer of all functions
			d.functions[key[at+1]] = true
		}
		return
	}
	d.objects = d.objects || slices.Contains(key, "objects")
}

// Picture gives the network, in the order of the ids.
func (b *Builder) Picture() *Picture {
	p := &Picture{
		Routers: []Node{}, Sessions: []Node{}, Edges: []Edge{}, PerOwner: map[string]int{}, PerKind: map[string]map[string]int{}, Info: []RouterInfo{},
	}
	for _, id := range slices.Sorted(maps.Keys(b.routers)) {
		p.Routers = append(p.Routers, Node{id, "router"})
		if d := b.info[id]; d != nil {
			p.Info = append(p.Info, RouterInfo{
				id, slices.AppendSeq([]string{}, sorted(d.functions)), d.objects, slices.AppendSeq([]string{}, sorted(d.classes)),
			})
		}
	}
	for n, owners := range b.sessions {
		p.Sessions = append(p.Sessions, n)
		for owner := range owners {
			p.PerOwner[owner]++
			if p.PerKind[owner] == nil {
				p.PerKind[owner] = map[string]int{}
			}
			p.PerKind[owner][n.Type]++
		}
	}
	slices.SortFunc(p.Sessions, func(x, y Node) int { return cmp.Or(cmp.Compare(x.ID, y.ID), cmp.Compare(x.Type, y.Type)) })
	p.Edges = slices.AppendSeq(p.Edges, maps.Keys(b.edges))
	slices.SortFunc(p.Edges, func(x, y Edge) int {
		return cmp.Or(cmp.Compare(x.Source, y.Source), cmp.Compare(x.Target, y.Target), cmp.Compare(x.Kind, y.Kind))
	})
	return p
}

func sorted(set map[string]bool) func(func(string) bool) {
	return slices.Values(slices.Sorted(maps.Keys(set)))
}
