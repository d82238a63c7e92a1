package router

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/hpcclab/oaas-go/broker/zenoh/keyexpr"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// ErrLimit is for a session that wants more than Limits allow.
var ErrLimit = errors.New("limit exceeded")

// tooMuch gives the error that ends a session that floods.
func tooMuch(format string, args ...any) error {
	return fmt.Errorf("%w: %w: %w", ErrLimit, fmt.Errorf(format, args...), &transport.CloseError{Reason: wire.CloseInvalid})
}

// prefix is a key expression that the neighbour gave a number, with the routes of the keys that continue it.
type prefix struct {
	text   string
	routes map[string]*route // by what follows
	latest *route            // of what came last
	suffix string            // that it is the route of
}

// errUnknownScope is for a number that the neighbour did not declare, perhaps because its declaration was overtaken.
var errUnknownScope = errors.New("unknown scope")

// prefixOf gives the prefix of a key that the neighbour sent, or nil.
func (f *face) prefixOf(w *wire.WireExpr) *prefix {
	switch {
	case w.Scope == 0:
		return &f.plain
	case w.Mapping == wire.Sender:
		return f.prefixes[w.Scope]
	}
	return nil // the router declares no numbers
}

// resolve gives the key of a message, on memory that may be that of the message.
func (f *face) resolve(w *wire.WireExpr) (keyexpr.KeyExpr, error) {
	p := f.prefixOf(w)
	if p == nil {
		return keyexpr.KeyExpr{}, errUnknownScope
	}
	if err := f.checkLength(p, w); err != nil {
		return keyexpr.KeyExpr{}, err
	}
	if p.text == "" {
		return keyexpr.Borrow(w.Suffix)
	}
	return keyexpr.New(p.text + string(w.Suffix))
}

func (f *face) checkLength(p *prefix, w *wire.WireExpr) error {
	if n := len(p.text) + len(w.Suffix); n > f.r.config.Limits.KeyLength {
		return tooMuch("key expression of %d bytes", n)
	}
	return nil
}

// fullKey gives a key as it is sent: text alone. The bytes must not be changed.
func fullKey(k keyexpr.KeyExpr) wire.WireExpr {
	s := k.String()
	return wire.WireExpr{Suffix: unsafe.Slice(unsafe.StringData(s), len(s))}
}

// keep resolves a key that the tables will keep, on memory of its own.
func (f *face) keep(w *wire.WireExpr) (keyexpr.KeyExpr, error) {
	k, err := f.resolve(w)
	if err != nil {
		return k, err
	}
	return k.Clone(), nil
}

// spending counts what a session made the router keep.
type spending struct{ declarations, memory int }

// Rough sizes of what the tables keep.
const (
	entitySize = 512 // of an entity or interest, in all maps that have it
	chunkSize  = 128 // of a chunk of a key in a tree
)

func costOf(key string) int {
	n := entitySize + len(key) + chunkSize
	for i := range len(key) {
		if key[i] == '/' {
			n += chunkSize
		}
	}
	return n
}

// spend counts a declaration, or refuses it.
func (f *face) spend(key string) error {
	limits := &f.r.config.Limits
	cost := costOf(key)
	switch {
	case f.spent.declarations >= limits.Declarations+limits.Interests:
		return tooMuch("%d declarations", f.spent.declarations)
	case f.spent.memory+cost > limits.Memory:
		return tooMuch("declarations that take %d bytes", f.spent.memory+cost)
	}
	f.spent.declarations++
	f.spent.memory += cost
	return nil
}

func (f *face) unspend(key string) {
	f.spent.declarations--
	f.spent.memory -= costOf(key)
}

// declareKey gives a prefix a number.
func (f *face) declareKey(m *wire.Declare) error {
	k, err := f.keep(&m.Key)
	if err != nil {
		return f.ignore(err, "key expression")
	}
	id := uint16(m.ID)
	if p := f.prefixes[id]; id == 0 || p != nil {
		if p == nil || p.text != k.String() {
			f.log.Debug("key expression ignored", "id", m.ID, "key", k, "error", "its number is taken")
		}
		return nil
	}
	if err := f.spend(k.String()); err != nil {
		return err
	}
	if f.prefixes == nil {
		f.prefixes = map[uint16]*prefix{}
	}
	f.prefixes[id] = &prefix{text: k.String()}
	return nil
}

func (f *face) undeclareKey(id uint32) {
	if p := f.prefixes[uint16(id)]; p != nil {
		f.unspend(p.text)
		f.routes -= len(p.routes)
		delete(f.prefixes, uint16(id))
	}
}

// ignore passes over a message whose key means nothing, as the protocol wants it. A flood still ends the session.
func (f *face) ignore(err error, what string) error {
	if errors.Is(err, ErrLimit) {
		return err
	}
	f.r.counters.badKeys.Add(1)
	f.log.Debug("message ignored", "message", what, "error", err)
	return nil
}
