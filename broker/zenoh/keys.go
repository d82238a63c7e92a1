package zenoh

import (
	"context"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// keys are the key expressions that have numbers, so that messages need not carry their text. They are under Session.mu.
type keys struct {
	byKey map[KeyExpr]*namedKey
	names map[uint16]*namedKey // numbers are used again only after all others
	next  uint16
}

type namedKey struct {
	id    uint16
	key   KeyExpr
	users int
}

// maxKeys is how many key expressions have numbers at once. Others travel as text.
const maxKeys = 1 << 15

// text gives the text of a number, or none.
func (k *keys) text(id uint16) string {
	if n := k.names[id]; n != nil {
		return n.key.String()
	}
	return ""
}

// use gives the number of a key, and whether it is new. It gives nil when all numbers are taken.
func (k *keys) use(key KeyExpr) (n *namedKey, fresh bool) {
	if n := k.byKey[key]; n != nil {
		n.users++
		return n, false
	}
	if len(k.byKey) >= maxKeys {
		return nil, false
	}
	if k.byKey == nil {
		k.byKey, k.names = make(map[KeyExpr]*namedKey), make(map[uint16]*namedKey)
	}
	for k.next++; k.next == 0 || k.names[k.next] != nil && k.names[k.next].users > 0; k.next++ {
	}
	n = &namedKey{id: k.next, key: key, users: 1}
	k.byKey[key], k.names[n.id] = n, n
	return n, true
}

// release gives one use back, and tells whether it was the last. The number still means the key, as messages with it may be on their way.
func (k *keys) release(n *namedKey) bool {
	if n == nil {
		return false
	}
	if n.users--; n.users == 0 {
		delete(k.byKey, n.key)
	}
	return n.users == 0
}

// DeclareKeyExpr makes the session send a number in place of the text of that key from now on. Publishers do that for theirs. The result is
// the same key expression. A key may be declared several times, and is undeclared as often.
func (s *Session) DeclareKeyExpr(ctx context.Context, key KeyExpr) (KeyExpr, error) {
	_, err := s.nameKey(ctx, key)
	return key, err
}

// UndeclareKeyExpr takes back a DeclareKeyExpr.
func (s *Session) UndeclareKeyExpr(ctx context.Context, key KeyExpr) error {
	s.mu.RLock()
	n := s.keys.byKey[key]
	s.mu.RUnlock()
	if n == nil {
		return ErrUndeclared
	}
	return s.releaseKey(ctx, n)
}

func (s *Session) nameKey(ctx context.Context, key KeyExpr) (*namedKey, error) {
	s.mu.Lock()
	if err := s.usable(); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	n, fresh := s.keys.use(key)
	faces := *s.faces.Load()
	s.mu.Unlock()
	if n == nil || !fresh {
		return n, nil
	}
	m := declareKey(n)
	for _, f := range faces {
		if err := f.announce(ctx, m); err != nil {
			return nil, s.abandonKey(n, err)
		}
		f.tell(n)
	}
	return n, nil
}

// abandonKey takes a key back for the sake of an error. Some may have learnt the number, which is harmless.
func (s *Session) abandonKey(n *namedKey, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys.release(n)
	return err
}

func declareKey(n *namedKey) *wire.Declare {
	return &wire.Declare{
		Kind: wire.DeclareKeyExpr, QoS: wire.QoSDeclare, ID: uint32(n.id), Key: wire.WireExpr{Suffix: bytesOf(n.key.String())},
	}
}

// tell takes note that the other side knows the number of a key.
func (f *face) tell(n *namedKey) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if n.users > 0 {
		f.told[n.key] = n.id
		f.s.version.Add(1)
	}
}

// releaseKey undeclares a key that nobody uses any more. That is the least urgent message, so that it overtakes none that uses the number.
func (s *Session) releaseKey(ctx context.Context, n *namedKey) error {
	s.mu.Lock()
	last := s.keys.release(n)
	faces := *s.faces.Load()
	if last {
		for _, f := range faces {
			delete(f.told, n.key)
		}
		s.version.Add(1)
	}
	s.mu.Unlock()
	if !last {
		return nil
	}
	m := &wire.Declare{Kind: wire.UndeclareKeyExpr, ID: uint32(n.id), QoS: wire.QoS{Priority: PriorityBackground, Congestion: wire.Block}}
	for _, f := range faces {
		if err := f.announceAs(ctx, m, m.QoS); err != nil {
			return err
		}
	}
	return nil
}

// wireExpr gives the form of a key for the other side. It is called with the lock of the session held.
func (f *face) wireExpr(key KeyExpr) wire.WireExpr {
	if id := f.told[key]; id != 0 {
		return wire.WireExpr{Scope: id}
	}
	return wire.WireExpr{Suffix: bytesOf(key.String())}
}
