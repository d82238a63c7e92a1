package zenoh

import (
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// guest is what a peer knows of a client of its own. A client is told of what this session declares, as far as it asked for it, and not of what
// others do: a peer does not route. All is under Session.mu.
type guest struct {
	f         *face
	interests map[uint32]*guestInterest
	told      map[declared]news
}

// declared names something that a client was told of.
type declared struct {
	kind wire.DeclareKind
	id   uint32
}

// news is a declaration that a client knows, or does not care about because it was there before the client asked for the future.
type news struct {
	wire.Declare
	untold bool
}

// guestInterest is what a client asked for.
type guestInterest struct {
	kinds     wire.InterestOptions
	key       KeyExpr // zero is any
	aggregate uint32  // the number of the one answer for all, or 0
}

// maxInterests is how many interests a client may have.
const maxInterests = 1 << 16

// interest answers an interest of a client or peer with what this session declares, and keeps that of a client if it is about the future.
func (f *face) interest(m *wire.Interest) {
	s := f.s
	i := &guestInterest{kinds: m.Options}
	if m.Restricted && m.Mode != wire.InterestFinal {
		if i.key = f.key(&m.Key); i.key.IsZero() {
			i.kinds = 0
		}
		if m.Options&wire.InterestAggregate != 0 && f.guest != nil {
			i.aggregate = s.newID()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := f.guest
	if m.Mode == wire.InterestFinal && c != nil {
		delete(c.interests, m.ID)
		c.forget()
	}
	for k, d := range s.declared(i) {
		if c != nil && m.Mode&wire.InterestFuture != 0 {
			c.remember(k, news{d, m.Mode == wire.InterestFuture})
		}
		if m.Mode&wire.InterestCurrent != 0 {
			d.Answer, d.InterestID = true, m.ID
			f.answer(&d, wire.QoSDeclare)
		}
	}
	if m.Mode&wire.InterestCurrent != 0 {
		f.answer(&wire.Declare{Kind: wire.DeclareFinal, Answer: true, InterestID: m.ID, QoS: wire.QoSDeclare}, wire.QoSDeclare)
	}
	if m.Mode&wire.InterestFuture != 0 && c != nil && len(c.interests) < maxInterests {
		if c.interests == nil {
			c.interests = make(map[uint32]*guestInterest)
		}
		c.interests[m.ID] = i
	}
}

// declared gives what this session declares that an interest is about. It and those below are called with the lock held.
func (s *Session) declared(i *guestInterest) map[declared]wire.Declare {
	found := make(map[declared]wire.Declare)
	add := func(kind wire.InterestOptions, key KeyExpr, m wire.Network) {
		d, ok := m.(*wire.Declare)
		if !ok || i.kinds&kind == 0 || !i.key.IsZero() && !key.Intersects(i.key) {
			return
		}
		if i.aggregate != 0 {
			complete := d.Queryable.Complete && key.Includes(i.key) || found[declared{d.Kind, i.aggregate}].Queryable.Complete
			d.ID, d.Key.Suffix, d.Queryable.Complete = i.aggregate, bytesOf(i.key.String()), complete
		}
		found[declared{d.Kind, d.ID}] = *d
	}
	for _, e := range s.subscribers.byID {
		add(wire.InterestSubscribers, e.key, e.declaration())
	}
	for _, e := range s.queryables.byID {
		add(wire.InterestQueryables, e.key, e.declaration())
	}
	for _, e := range s.tokens.byID {
		add(wire.InterestTokens, e.key, e.declaration())
	}
	return found
}

// wanted gives all that the client is to know now.
func (c *guest) wanted() map[declared]wire.Declare {
	all := make(map[declared]wire.Declare)
	for _, i := range c.interests {
		for k, d := range c.f.s.declared(i) {
			all[k] = d
		}
	}
	return all
}

func (c *guest) remember(k declared, n news) {
	if c.told == nil {
		c.told = make(map[declared]news)
	}
	if old, known := c.told[k]; !known || old.untold {
		c.told[k] = n
	}
}

// forget forgets what the client does not want to know any more: it is not told of the end.
func (c *guest) forget() {
	wanted := c.wanted()
	for k := range c.told {
		if _, ok := wanted[k]; !ok {
			delete(c.told, k)
		}
	}
}

// tell tells the client what has changed in what it wants to know.
func (c *guest) tell() {
	c.f.s.mu.Lock()
	defer c.f.s.mu.Unlock()
	wanted := c.wanted()
	if c.told == nil {
		c.told = make(map[declared]news)
	}
	for k, d := range wanted {
		if old, known := c.told[k]; !known || old.Queryable != d.Queryable {
			c.told[k] = news{d, false}
			c.f.answer(&d, wire.QoSDeclare)
		}
	}
	for k, old := range c.told {
		if _, ok := wanted[k]; !ok {
			delete(c.told, k)
			c.tellEnd(k, old)
		}
	}
}

// tellEnd tells of the end of something. That of a token which the client was not told of has its key with it, and zenoh-pico, which does not
// know the lanes, would take it amiss.
func (c *guest) tellEnd(k declared, old news) {
	m := &wire.Declare{Kind: k.kind + 1, ID: k.id, QoS: wire.QoSDeclare, WithKey: k.kind != wire.DeclareSubscriber}
	if old.untold {
		if k.kind != wire.DeclareToken || !c.f.peer.QoS {
			return
		}
		m.Key = old.Key
	}
	c.f.answer(m, wire.QoSDeclare)
}
