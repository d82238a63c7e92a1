package router

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/keyexpr"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// uplink keeps a session with another router, in which this one is a client: it declares there whatever is declared here, and asks for whatever
// is declared there.
//
// Two ways from here to the same place would carry everything twice, and a way that leads back here in circles. To see this, each uplink begins
// with a token of its own, and carries nothing but such tokens. If the token of one is seen through another, or through a session, the newer one
// yields: it is closed, and tried again after a while or when another is lost.
type uplink struct {
	r        *Router
	endpoint string
	rank     int
	wake     chan struct{} // another uplink was lost

	// The lock of the tables is for these.
	face     *face // nil while not connected
	probing  bool  // connected, and not yet known to be the only way
	yielded  bool
	troubled bool // what keeps it from carrying was logged
}

const (
	probeTime  = 250 * time.Millisecond // for the token of an uplink to come round
	roundTime  = 4 * probeTime          // after which one that came round late makes its uplink yield
	yieldPause = 15 * time.Second       // on average
)

// Numbers of what an uplink says of itself. Those of entities count from 1.
const (
	markerID       = 1<<32 - 1
	markerInterest = 1
	markers        = "@/*/uplink/*"
	allInterest    = 2
	ownInterest    = 1<<32 - 1 // that the router keeps in the place of the other side
)

// markerKey is the token of an uplink. No wildcard matches its verbatim chunk.
func markerKey(zid wire.ZID, rank string) string { return "@/" + zid.String() + "/uplink/" + rank }

var markerKeys = mustKey(markers)

// run keeps the uplink connected until ctx ends.
func (u *uplink) run(ctx context.Context) {
	backoff := u.r.config.Backoff
	for ctx.Err() == nil {
		t, err := u.dial(ctx)
		if err != nil {
			u.trouble("uplink not connected", err)
			_ = backoff.Wait(ctx)
			continue
		}
		backoff.Reset()
		if u.serve(ctx, t) {
			u.pause(ctx, yieldPause/2+rand.N(yieldPause))
		} else {
			_ = backoff.Wait(ctx)
		}
	}
}

func (u *uplink) pause(ctx context.Context, pause time.Duration) {
	select {
	case <-time.After(pause):
	case <-u.wake:
	case <-ctx.Done():
	}
}

// trouble logs once until the uplink works again.
func (u *uplink) trouble(what string, err error) {
	u.r.mu.Lock()
	defer u.r.mu.Unlock()
	u.troubleLocked(what, err)
}

func (u *uplink) troubleLocked(what string, err error) {
	if !u.troubled {
		u.r.log.Warn(what, "endpoint", u.endpoint, "error", err)
	}
	u.troubled = true
}

func (u *uplink) dial(ctx context.Context) (*transport.Transport, error) {
	config := u.r.config.Transport
	config.WhatAmI = wire.Client
	config.PasswordOf, config.Admit = nil, nil
	t, err := transport.Dial(ctx, u.endpoint, config)
	if err != nil {
		return nil, err
	}
	if t.Peer().ZID == u.r.zid {
		t.Abort(wire.CloseConnectionToSelf)
		_ = t.Serve(ctx, func(wire.Network) error { return nil }) // says goodbye
		return nil, fmt.Errorf("connect to %s: %w", u.endpoint, &transport.CloseError{Reason: wire.CloseConnectionToSelf})
	}
	return t, nil
}

// serve runs the session to its end, and tells whether it yielded to another way.
func (u *uplink) serve(ctx context.Context, t *transport.Transport) (yielded bool) {
	r := u.r
	f := newFace(r, upstream, t.Peer(), t)
	f.in, f.uplink = t, u
	r.mu.Lock()
	u.face, u.probing, u.yielded = f, true, false
	u.watch([kinds]bool{tokens: true}, markerKeys)
	r.mu.Unlock()
	u.probe()
	settle := time.AfterFunc(probeTime, func() { u.establish(f) })
	err := r.run(ctx, f, t)
	settle.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	u.face, u.probing = nil, false
	if u.yielded || r.closing {
		return u.yielded
	}
	u.troubleLocked("uplink lost", err)
	for _, other := range r.uplinks {
		other.wakeUp()
	}
	return false
}

func (u *uplink) wakeUp() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// probe puts the token there, and asks for those of others.
func (u *uplink) probe() {
	f := u.face
	f.say(declareToken(markerID, markerKey(u.r.zid, strconv.Itoa(u.rank))), wire.QoSDeclare)
	f.say(&wire.Interest{
		ID: markerInterest, Mode: wire.InterestCurrentFuture, Options: wire.InterestTokens, Restricted: true, Key: wire.Key(markers),
		QoS: wire.QoSDeclare,
	}, wire.QoSDeclare)
}

func declareToken(id uint32, key string) *wire.Declare {
	return &wire.Declare{Kind: wire.DeclareToken, ID: id, Key: wire.Key(key), QoS: wire.QoSDeclare}
}

// establish lets the uplink carry, as it is the only way as far as is known.
func (u *uplink) establish(f *face) {
	r := u.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if u.face != f || u.yielded || f.gone {
		return
	}
	u.probing, u.troubled = false, false
	u.watch([kinds]bool{true, true, true}, keyexpr.KeyExpr{})
	f.say(&wire.Interest{
		ID: allInterest, Mode: wire.InterestCurrentFuture, QoS: wire.QoSDeclare,
		Options: wire.InterestSubscribers | wire.InterestQueryables | wire.InterestTokens,
	}, wire.QoSDeclare)
	f.log.Info("uplink carries", "endpoint", u.endpoint)
}

// watch makes the other side hear of what is declared here, without its asking.
func (u *uplink) watch(which [kinds]bool, key keyexpr.KeyExpr) {
	own := &interest{face: u.face, id: ownInterest, kinds: which, key: key}
	if old := u.face.interests[own.id]; old != nil {
		for k := range kinds {
			if old.kinds[k] {
				u.r.dropWatcher(k, old)
			}
		}
	}
	u.face.interests[own.id] = own
	u.face.plainly = watchers{own: {}}
	for k := range kinds {
		if !which[k] {
			continue
		}
		u.r.watchersOf(k, key)[own] = struct{}{}
		u.r.intersecting(k, key, func(e *entity) { u.r.settle(u.face, k, e.key) })
	}
}

// sameWay tells whether a token is that of one of our own uplinks, and makes the newer of two ways yield.
func (r *Router) sameWay(f *face, id uint32, key keyexpr.KeyExpr) bool {
	text, own := strings.CutPrefix(key.String(), markerKey(r.zid, ""))
	rank, err := strconv.Atoi(text)
	if !own || err != nil || rank < 0 || rank >= len(r.uplinks) {
		return false
	}
	from, seen := f.uplink, r.uplinks[rank]
	switch {
	case from == seen, seen.face == nil, seen.yielded: // its own, that came back, or one that will be taken back
	case from == nil && seen.probing:
		seen.yield("it leads back to this router")
	case from == nil: // whoever closed the circle will yield, or has not noticed
		r.waitForOther(f, id, seen)
	case from.probing != seen.probing && from.probing, from.probing == seen.probing && from.rank > seen.rank:
		from.yield("it leads where " + seen.endpoint + " leads")
	default:
		seen.yield("it leads where " + from.endpoint + " leads")
	}
	return true
}

// waitForOther makes an uplink yield whose token has come round, unless it is taken back soon.
func (r *Router) waitForOther(f *face, id uint32, seen *uplink) {
	if f.round == nil {
		f.round = map[uint32]struct{}{}
	}
	f.round[id] = struct{}{}
	at := seen.face
	time.AfterFunc(roundTime, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, still := f.round[id]; still && !f.gone && seen.face == at {
			seen.yield("it leads back to this router")
		}
	})
}

// yield closes the uplink for the sake of another. The lock of the tables is held.
func (u *uplink) yield(why string) {
	if u.face == nil || u.yielded {
		return
	}
	u.yielded, u.face.standby = true, true
	u.r.generation.Add(1)
	if !u.troubled {
		u.r.log.Info("uplink stands by", "endpoint", u.endpoint, "reason", why)
	}
	u.troubled = true
	u.face.out.Abort(wire.CloseGeneric)
}
