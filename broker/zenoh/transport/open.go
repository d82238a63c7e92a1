package transport

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// patch is the level of fixes to the protocol that this side knows: 1 marks the first fragment of a message.
const patch = 1

// Dial opens a transport to an endpoint; see DialLink. Config.OpenTimeout is for all of it.
func Dial(ctx context.Context, endpoint string, config Config) (*Transport, error) {
	return dialThen(ctx, endpoint, config, Open)
}

func dialThen(ctx context.Context, endpoint string, config Config, open func(context.Context, Link, Config) (*Transport, error)) (*Transport, error) {
	ctx, cancel := context.WithTimeout(ctx, orDefault(config.OpenTimeout, defaultOpenTimeout))
	defer cancel()
	link, err := DialLink(ctx, endpoint, config.Link)
	if err != nil {
		return nil, err
	}
	return open(ctx, link, config)
}

// Open opens a transport on a link that this side dialled. The link is closed when that fails.
func Open(ctx context.Context, link Link, config Config) (*Transport, error) {
	return establish(ctx, link, config, "open transport", (*handshake).dial)
}

// Accept opens a transport on a link that the other side dialled. The link is closed when that fails.
func Accept(ctx context.Context, link Link, config Config) (*Transport, error) {
	return establish(ctx, link, config, "accept transport", (*handshake).accept)
}

func establish(ctx context.Context, link Link, config Config, what string, run func(*handshake) (*Transport, error)) (*Transport, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, closeAfter(link, err))
	}
	ctx, cancel := context.WithTimeout(ctx, config.OpenTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = link.Close() }) // wakes up who reads or writes; establish closes it again
	if mtu := link.Info().MTU; mtu > 0 {
		config.BatchSize = uint16(min(int(config.BatchSize), mtu))
	}
	h := &handshake{ctx: ctx, link: link, config: config, qos: !config.NoQoS}
	t, err := run(h)
	if !stop() {
		return nil, fmt.Errorf("%s with %s: %w", what, link.Info().Remote, closeAfter(link, context.Cause(ctx)))
	}
	if err != nil {
		if !h.closed { // the reason is a courtesy
			_ = h.send(&wire.Close{Session: h.opened, Reason: reasonOf(err)})
		}
		return nil, fmt.Errorf("%s with %s: %w", what, link.Info().Remote, closeAfter(link, err))
	}
	return t, nil
}

// closeAfter closes a link for the sake of an error, which is the one that matters.
func closeAfter(link Link, err error) error {
	_ = link.Close()
	return err
}

// handshake is the state of opening a transport.
type handshake struct {
	ctx     context.Context
	link    Link
	config  Config
	decoder wire.Decoder
	peer    Peer
	sizes   wire.Sizes
	qos     bool
	patch   uint64
	opened  bool // the other side may think that the transport is there
	closed  bool // the other side said so
}

func (h *handshake) send(m wire.Message) error {
	b, err := m.AppendBinary(make([]byte, prefix, 128))
	if err != nil {
		return err
	}
	return h.link.WriteBatch(b)
}

// receive reads the next message, which must be the only one of its batch. The deadline is that of the whole handshake.
func (h *handshake) receive() (wire.Message, error) {
	b, err := h.link.ReadBatch(time.Time{})
	if err != nil {
		return nil, err
	}
	h.decoder.Reset(b)
	m, err := h.decoder.Next()
	switch {
	case err != nil:
		return nil, err
	case h.decoder.More():
		return nil, fmt.Errorf("%w: more than one message in a batch of the handshake", ErrProtocol)
	}
	if c, ok := m.(*wire.Close); ok {
		h.closed = true
		return nil, &CloseError{Reason: c.Reason}
	}
	return m, nil
}

func (h *handshake) receiveInit(ack bool) (*wire.Init, error) {
	m, err := h.receive()
	if err != nil {
		return nil, err
	}
	init, ok := m.(*wire.Init)
	if !ok || init.Ack != ack {
		return nil, fmt.Errorf("%w: %T in place of init", ErrProtocol, m)
	}
	h.peer = Peer{ZID: init.ZID, WhatAmI: init.WhatAmI, QoS: init.QoS, LinkInfo: h.link.Info()}
	h.sizes.Resolution = h.config.Resolution.Min(init.Sizes.Resolution)
	h.sizes.BatchSize = min(h.config.BatchSize, init.Sizes.BatchSize)
	h.qos = h.qos && init.QoS
	h.patch = min(patch, init.Patch)
	if h.sizes.BatchSize < minBatch {
		return nil, fmt.Errorf("%w: batch size %d", ErrProtocol, h.sizes.BatchSize)
	}
	return init, nil
}

func (h *handshake) receiveOpen(ack bool) (*wire.Open, error) {
	m, err := h.receive()
	if err != nil {
		return nil, err
	}
	open, ok := m.(*wire.Open)
	if !ok || open.Ack != ack {
		return nil, fmt.Errorf("%w: %T in place of open", ErrProtocol, m)
	}
	if open.InitialSN > h.sizes.Resolution.Mask() || open.Lease <= 0 {
		return nil, fmt.Errorf("%w: initial sequence number %d, lease %v", ErrProtocol, open.InitialSN, open.Lease)
	}
	return open, nil
}

func (h *handshake) dial() (*Transport, error) {
	own := wire.Sizes{Resolution: h.config.Resolution, BatchSize: h.config.BatchSize}
	syn := &wire.Init{WhatAmI: h.config.WhatAmI, ZID: h.config.ZID, Sizes: own, QoS: h.qos, Patch: patch}
	if h.config.User != "" {
		syn.Auth = []byte{authOffer}
	}
	if err := h.send(syn); err != nil {
		return nil, err
	}
	ack, err := h.receiveInit(true)
	if err != nil {
		return nil, err
	}
	if ack.Sizes.Resolution != h.sizes.Resolution {
		return nil, fmt.Errorf("%w: resolution larger than proposed", ErrProtocol)
	}
	if expect := h.config.Expect; !expect.IsZero() && expect != h.peer.ZID {
		return nil, fmt.Errorf("%w: peer is %s, not %s", ErrProtocol, h.peer.ZID, expect)
	}
	if err := h.enter(); err != nil {
		return nil, err
	}
	sn := randomSN(h.sizes.Resolution)
	open := &wire.Open{Lease: h.config.Lease, InitialSN: sn, Cookie: ack.Cookie}
	if h.config.User != "" {
		if open.Auth, err = answer(ack.Auth, h.config.User, h.config.Password); err != nil {
			return nil, err
		}
	}
	h.opened = true
	if err := h.send(open); err != nil {
		return nil, err
	}
	accepted, err := h.receiveOpen(true)
	if err != nil {
		return nil, err
	}
	if h.config.User != "" {
		if _, err := nested(accepted.Auth, authOffer); err != nil {
			return nil, err
		}
	}
	return newTransport(h, sn, accepted), nil
}

// enter is the last check of a peer that did everything right.
func (h *handshake) enter() error {
	if h.peer.ZID == h.config.ZID {
		return &CloseError{Reason: wire.CloseConnectionToSelf}
	}
	if h.config.enter == nil {
		return nil
	}
	return h.config.enter(h.ctx, h.peer)
}

func (h *handshake) accept() (*Transport, error) {
	syn, err := h.receiveInit(false)
	if err != nil {
		return nil, err
	}
	cookie := make([]byte, 16)
	rand.Read(cookie) // never fails
	ack := &wire.Init{Ack: true, WhatAmI: h.config.WhatAmI, ZID: h.config.ZID, Sizes: h.sizes, AlwaysSizes: syn.AlwaysSizes, Cookie: cookie,
		QoS: h.qos, Patch: h.patch}
	nonce := newNonce()
	if h.config.PasswordOf != nil {
		if _, err := nested(syn.Auth, authOffer); err != nil {
			return nil, err
		}
		ack.Auth = wire.AppendExtensions(nil, []wire.Extension{{ID: authNonce, Value: nonce}})
	}
	if err := h.send(ack); err != nil {
		return nil, err
	}
	open, err := h.receiveOpen(false)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(open.Cookie, cookie) != 1 {
		return nil, fmt.Errorf("%w: another cookie", ErrProtocol)
	}
	accepted := &wire.Open{Ack: true, Lease: h.config.Lease, InitialSN: randomSN(h.sizes.Resolution)}
	if h.config.PasswordOf != nil {
		if h.peer.User, err = verify(open.Auth, nonce, h.config.PasswordOf); err != nil {
			return nil, err
		}
		accepted.Auth = []byte{authOffer}
	}
	if h.config.Admit != nil {
		if err := h.config.Admit(h.peer); err != nil {
			return nil, fmt.Errorf("admit: %w", err)
		}
	}
	if err := h.enter(); err != nil {
		return nil, err
	}
	t := newTransport(h, accepted.InitialSN, open)
	return t, h.send(accepted)
}

// randomSN gives a sequence number to begin with.
func randomSN(r wire.Resolution) uint32 { return uint32(newNonce()) & r.Mask() }
