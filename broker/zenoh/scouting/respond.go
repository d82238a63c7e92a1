package scouting

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/net/ipv4"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Responder answers those who scout. Several may run on a machine, on the same group.
type Responder struct {
	conn   *net.UDPConn
	config Config
}

// Listen joins the group, on each interface where that works.
func Listen(ctx context.Context, c Config) (*Responder, error) {
	r, err := listen(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("listen for scouts: %w", err)
	}
	return r, nil
}

func listen(ctx context.Context, c Config) (*Responder, error) {
	c, group, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	interfaces, err := c.interfaces()
	if err != nil {
		return nil, err
	}
	var config net.ListenConfig
	packets, err := config.ListenPacket(ctx, "udp4", c.Group) // lets others have the port as well, as it is a group
	if err != nil {
		return nil, err
	}
	errs := []error{fmt.Errorf("no interface to join %s on", c.Group)}
	for i := range interfaces {
		err := ipv4.NewPacketConn(packets).JoinGroup(&interfaces[i], &net.UDPAddr{IP: group.IP})
		if err == nil {
			errs = nil
		} else if errs != nil {
			errs = append(errs, fmt.Errorf("join %s on %s: %w", c.Group, interfaces[i].Name, err))
		}
	}
	if errs != nil {
		_ = packets.Close() // it was good for nothing
		return nil, errors.Join(errs...)
	}
	return &Responder{conn: packets.(*net.UDPConn), config: c}, nil
}

// Serve answers until ctx ends, and then closes the socket; its error is nil then. What hello gives, at each question, is who this node is and where it can be
// reached; without locators there is no answer.
func (r *Responder) Serve(ctx context.Context, hello func() wire.Hello) error {
	defer r.conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = r.conn.Close() }) // wakes up who reads
	defer stop()
	b := make([]byte, 1<<11)
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(b)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("listen for scouts: %w", err)
		case err != nil: // what the system says of an answer that found nobody
			continue
		}
		if answer := answer(b[:n], from, hello); answer != nil {
			_, _ = r.conn.WriteToUDPAddrPort(answer, from) // who asked will ask again
		}
	}
}

// Close gives up the socket of a responder that is not served.
func (r *Responder) Close() error { return r.conn.Close() }

// answer gives what to say to a datagram, or nil.
func answer(b []byte, from netip.AddrPort, hello func() wire.Hello) []byte {
	m, err := wire.DecodeScouting(b)
	scout, ok := m.(*wire.Scout)
	if err != nil || !ok {
		return nil
	}
	h := hello()
	if h.WhatAmI&scout.What == 0 || h.ZID == scout.ZID {
		return nil
	}
	if slices.ContainsFunc(h.Locators, loopback) && !thisMachine(from.Addr().Unmap()) {
		h.Locators = slices.DeleteFunc(slices.Clone(h.Locators), loopback)
	}
	if len(h.Locators) == 0 {
		return nil
	}
	said, err := h.AppendBinary(nil)
	if err != nil {
		return nil // a locator that is too long for others to hear of
	}
	return said
}

// thisMachine tells whether an address is one of this machine, as that of a question from here is, even if it was asked on loopback.
func thisMachine(addr netip.Addr) bool {
	if addr.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(own, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == addr
	})
}

// loopback tells whether a locator is of use on this machine only.
func loopback(locator string) bool {
	e, err := transport.ParseEndpoint(locator)
	if err != nil {
		return true
	}
	host, _, err := net.SplitHostPort(e.Address)
	if err != nil { // a path or a name
		return true
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
