package router

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/keyexpr"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// admin answers queries below @/<zid>/router. To the rest of the router it is a face with one queryable.
type admin struct {
	r        *Router
	root     string
	self     *face
	requests chan adminRequest
}

type adminRequest struct {
	id  uint32
	key keyexpr.KeyExpr
}

// adminQueue is how many queries wait; more end without reply.
const adminQueue = 64

// startAdmin serves the admin space until ctx ends.
func (r *Router) startAdmin(ctx context.Context) {
	a := &admin{r: r, root: "@/" + r.zid.String() + "/router", requests: make(chan adminRequest, adminQueue)}
	a.self = newFace(r, inside, transport.Peer{ZID: r.zid, WhatAmI: wire.Router}, a)
	a.self.rights = nil // who asks needs the right to
	r.admin = a
	r.add(a.self)
	m := &wire.Declare{Kind: wire.DeclareQueryable, ID: 1, Key: wire.Key(a.root + "/**")}
	if err := a.self.handle(m); err != nil {
		r.log.Error("admin space", "error", err)
	}
	r.running.Go(func() {
		for {
			select {
			case q := <-a.requests:
				a.answer(q)
			case <-ctx.Done():
				r.remove(a.self)
				return
			}
		}
	})
}

// Send implements sender: requests are answered, and whatever else the router says is no news to itself.
func (a *admin) Send(_ context.Context, m wire.Network, _ transport.Delivery) error {
	request, ok := m.(*wire.Request)
	if !ok {
		return nil
	}
	key, err := keyexpr.New(string(request.Key.Suffix))
	if err != nil {
		return err
	}
	select {
	case a.requests <- adminRequest{id: request.ID, key: key}:
		return nil
	default:
		return transport.ErrCongested
	}
}

// Abort implements sender. The router cannot leave itself.
func (a *admin) Abort(wire.CloseReason) {}

// adminEntry is one reply.
type adminEntry struct {
	key     string
	payload any // JSON, or text if it is a string
}

func (a *admin) answer(q adminRequest) {
	for _, e := range a.entries() {
		key, err := keyexpr.New(e.key)
		if err != nil || !key.Intersects(q.key) {
			continue
		}
		data := wire.Data{}
		if text, ok := e.payload.(string); ok {
			data.Encoding, data.Payload = wire.Encoding{ID: wire.EncodingTextPlain}, []byte(text)
		} else if data.Payload, err = json.Marshal(e.payload); err == nil {
			data.Encoding = wire.Encoding{ID: wire.EncodingJSON}
		} else {
			a.r.log.Error("admin space", "key", e.key, "error", err)
			continue
		}
		data.Timestamp = a.r.clock.at(time.Now())
		a.self.response(&wire.Response{
			ID: q.id, Key: wire.Key(e.key), Responder: wire.EntityID{ZID: a.r.zid, EID: 1}, Reply: wire.Reply{Data: data},
		})
	}
	a.r.answered(a.self, q.id)
}

// adminSession is a session in the admin space.
type adminSession struct {
	Peer    string      `json:"peer"`
	WhatAmI string      `json:"whatami"`
	Links   []adminLink `json:"links"`
}

type adminLink struct {
	Src string `json:"src"`
	Dst string `json:"dst"`
}

// adminTransport is the entry of a session.
type adminTransport struct {
	ZID     string `json:"zid"`
	WhatAmI string `json:"whatami"`
	QoS     bool   `json:"is_qos"`
	SHM     bool   `json:"is_shm"`
}

// adminRoot is the entry of the router itself.
type adminRoot struct {
	ZID      string          `json:"zid"`
	Version  string          `json:"version"`
	Metadata any             `json:"metadata"`
	Locators []string        `json:"locators"`
	Sessions []adminSession  `json:"sessions"`
	Plugins  map[string]bool `json:"plugins"`
}

// adminSources tells who declared something.
type adminSources struct {
	Routers []string `json:"routers"`
	Peers   []string `json:"peers"`
	Clients []string `json:"clients"`
}

// entries gives all that there is to tell now.
func (a *admin) entries() []adminEntry {
	stats := a.r.Statistics()
	a.r.mu.Lock()
	defer a.r.mu.Unlock()
	root := adminRoot{
		ZID: a.r.zid.String(), Version: version(), Metadata: a.r.config.Metadata, Locators: a.r.Locators(), Sessions: []adminSession{},
		Plugins: map[string]bool{},
	}
	list := []adminEntry{{key: a.root + "/metrics", payload: stats.Metrics()}}
	for f := range a.r.faces {
		if f.kind == inside {
			continue
		}
		s := adminSession{Peer: f.peer.ZID.String(), WhatAmI: f.peer.WhatAmI.String(), Links: []adminLink{{Src: f.peer.Local, Dst: f.peer.Remote}}}
		root.Sessions = append(root.Sessions, s)
		list = append(list, adminEntry{key: a.root + "/session/transport/unicast/" + s.Peer, payload: adminTransport{ZID: s.Peer, WhatAmI: s.WhatAmI, QoS: f.peer.QoS}})
	}
	list = append(list, adminEntry{key: a.root, payload: root}, adminEntry{key: a.root + "/linkstate/routers", payload: a.graph()})
	for k := range kinds {
		for key, e := range a.r.declared[k].All() {
			list = append(list, adminEntry{key: a.root + "/" + k.String() + "/" + key.String(), payload: sources(e)})
		}
	}
	return list
}

// sources tells by role who declared an entity.
func sources(e *entity) adminSources {
	s := adminSources{Routers: []string{}, Peers: []string{}, Clients: []string{}}
	lists := map[wire.WhatAmI]*[]string{wire.Router: &s.Routers, wire.Peer: &s.Peers, wire.Client: &s.Clients}
	for _, d := range e.by {
		list := lists[d.face.peer.WhatAmI]
		*list = append(*list, d.face.peer.ZID.String())
	}
	return s
}

// graph draws the routers that this one is linked to, in the language of Graphviz, as the native router does.
func (a *admin) graph() string {
	ids := map[string]bool{}
	for f := range a.r.faces {
		if f.kind == upstream {
			ids[f.peer.ZID.String()] = true
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "graph {\n    0 [ label = \"%s\" ]\n", a.r.zid)
	others := slices.Sorted(maps.Keys(ids))
	for i, id := range others {
		fmt.Fprintf(&out, "    %d [ label = \"%s\" ]\n", i+1, id)
	}
	for i := range others {
		fmt.Fprintf(&out, "    0 -- %d [ ]\n", i+1)
	}
	out.WriteString("}\n")
	return out.String()
}

// version gives that of the module, as far as it is known.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
