package zenoh

import (
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// delivery is who gets what comes under a key.
type delivery struct {
	text        string
	key         KeyExpr
	subscribers []*Subscriber
}

// maxRoutes is how many deliveries a face remembers.
const maxRoutes = 4096

// push hands what another node published to subscribers.
func (f *face) push(m *wire.Push) {
	d := f.deliveryOf(&m.Key)
	if len(d.subscribers) == 0 {
		return
	}
	f.s.learn(m.Data.Timestamp)
	f.sample = Sample{key: d.key, qos: m.QoS}
	f.sample.fill(&m.Data, f.t)
	for _, b := range d.subscribers {
		if b != f.pushed {
			f.flush()
			f.pushed = b
		}
		b.sink.pushMore(&f.sample)
	}
}

// flush wakes up the closure of the subscriber that samples were pushed to. Those of a batch that are all for one subscriber wake it once.
func (f *face) flush() {
	if f.pushed != nil {
		f.pushed.sink.flush()
		f.pushed = nil
	}
}

// afterBatch is flush, and lets go of what was handed on: the payload may be large, and the next batch late.
func (f *face) afterBatch() {
	f.flush()
	f.sample, f.reply = Sample{}, Reply{}
}

// lastDelivery is that of the message before, which is often that of the next one.
type lastDelivery struct {
	*delivery
	scope   uint16
	mapping wire.Mapping
	suffix  string
}

// nowhere is the delivery for a key that means nothing: declarations may overtake data.
var nowhere = &delivery{}

// deliveryOf finds who gets what comes under a key.
func (f *face) deliveryOf(w *wire.WireExpr) *delivery {
	if v := f.s.version.Load(); v != f.version || len(f.routes) >= maxRoutes {
		clear(f.routes)
		f.version, f.last = v, lastDelivery{}
	}
	if l := &f.last; l.delivery != nil && l.scope == w.Scope && l.mapping == w.Mapping && l.suffix == string(w.Suffix) {
		return l.delivery
	}
	text := f.expand(w)
	if len(text) == 0 {
		return nowhere
	}
	d := f.routes[string(text)]
	if d == nil {
		d = f.s.deliveryOf(string(text))
		f.routes[string(text)] = d
	}
	f.last = lastDelivery{delivery: d, scope: w.Scope, mapping: w.Mapping}
	if n := len(w.Suffix); n > 0 {
		f.last.suffix = d.text[len(d.text)-n:]
	}
	return d
}

// deliveryOf finds the subscribers for what others publish. There are none for text that is no key expression.
func (s *Session) deliveryOf(text string) *delivery {
	key, err := NewKeyExpr(text)
	if err != nil {
		return &delivery{text: text}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return &delivery{text, key, s.subscribersOf(key, false)}
}

// subscribersOf gives those who want what is published on a key, by this session or by others. It is called with the lock held.
func (s *Session) subscribersOf(key KeyExpr, local bool) []*Subscriber {
	var list []*Subscriber
	for b := range s.subscribers.matching(key) {
		if b.origin.from(local) {
			list = append(list, b)
		}
	}
	return list
}

// learn tells the clock of timestamps that come in, if it stamps what goes out.
func (s *Session) learn(t Timestamp) {
	if s.config.Timestamping && !t.IsZero() {
		if err := s.clock.Update(t); err != nil {
			s.log.Debug("clock not updated", "error", err)
		}
	}
}
