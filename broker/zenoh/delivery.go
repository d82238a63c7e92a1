package zenoh

import (
	"strings"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// delivery is who gets what comes under a key.
type delivery struct {
	key         KeyExpr
	subscribers []*Subscriber
}

// maxRoutes is how many deliveries a face remembers.
const maxRoutes = 4096

// push hands what another node published to subscribers.
func (f *face) push(m *wire.Push) {
	text := f.expand(&m.Key)
	if len(text) == 0 {
		return // a number that means nothing: declarations may overtake data
	}
	if v := f.s.version.Load(); v != f.version || len(f.routes) >= maxRoutes {
		clear(f.routes)
		f.version = v
	}
	d := f.routes[string(text)]
	if d == nil {
		d = f.s.deliveryOf(string(text))
		f.routes[d.text(text)] = d
	}
	if len(d.subscribers) == 0 {
		return
	}
	f.s.learn(m.Data.Timestamp)
	sample := Sample{key: d.key, qos: m.QoS}
	sample.fill(&m.Data, &f.memory)
	for _, b := range d.subscribers {
		b.sink.push(&sample)
	}
}

// deliveryOf finds the subscribers for what others publish. There are none for text that is no key expression.
func (s *Session) deliveryOf(text string) *delivery {
	key, err := NewKeyExpr(text)
	if err != nil {
		return &delivery{}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return &delivery{key, s.subscribersOf(key, false)}
}

// text gives the text of the key as long as it lives.
func (d *delivery) text(fallback []byte) string {
	if d.key.IsZero() {
		return strings.Clone(string(fallback))
	}
	return d.key.String()
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
