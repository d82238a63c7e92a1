// Package scouting finds the nodes of a Zenoh network: by multicast, where one asks and those that are there answer, and by gossip, where
// nodes that are linked tell each other whom they know.
//
// Guarantees: Scout and Respond end with their context and leave nothing running; what is malformed, or not asked for, is passed over; what
// others say takes a bounded amount of memory.
package scouting

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Group is the multicast group of the native implementation.
const Group = "224.0.0.224:7446"

// Config says where to scout. Zero fields have the defaults of the native implementation.
type Config struct {
	Group      string        // address and port of IPv4; Group
	Interfaces []string      // names; empty is all that are up and know multicast, or loopback if there is none
	TTL        int           // 1, which stays within the network of the interface
	Interval   time.Duration // before the second question; each further interval is twice as long, up to eight times: 1 s
	ZID        wire.ZID      // of this node, which does not find itself; may be zero
}

func (c Config) withDefaults() (Config, *net.UDPAddr, error) {
	if c.Group == "" {
		c.Group = Group
	}
	if c.TTL == 0 {
		c.TTL = 1
	}
	if c.Interval == 0 {
		c.Interval = time.Second
	}
	group, err := net.ResolveUDPAddr("udp4", c.Group)
	switch {
	case err != nil:
		return c, nil, fmt.Errorf("group %q: %w", c.Group, err)
	case !group.IP.IsMulticast():
		return c, nil, fmt.Errorf("group %q: not a multicast address", c.Group)
	case c.TTL < 0 || c.TTL > 255 || c.Interval < 0:
		return c, nil, fmt.Errorf("TTL %d, interval %v: out of bounds", c.TTL, c.Interval)
	}
	return c, group, nil
}

// interfaces gives those to use.
func (c Config) interfaces() ([]net.Interface, error) {
	var list []net.Interface
	for _, name := range c.Interfaces {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return nil, fmt.Errorf("interface %q: %w", name, err)
		}
		list = append(list, *i)
	}
	if len(list) > 0 {
		return list, nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	with := func(flags net.Flags) []net.Interface {
		return slices.DeleteFunc(slices.Clone(all), func(i net.Interface) bool { return i.Flags&flags != flags })
	}
	if list = with(net.FlagUp | net.FlagMulticast); len(list) == 0 {
		list = with(net.FlagUp | net.FlagLoopback)
	}
	return list, nil
}

// Found is an answer to a question.
type Found struct {
	wire.Hello
	From netip.AddrPort // who sent it
}

// Scout asks, again and again, which nodes of those roles there are, and gives every answer, also those of nodes that answered before. It ends
// with ctx, or when the caller has enough; the error, which is the last item, is that of the network, never that of ctx.
func Scout(ctx context.Context, c Config, what wire.WhatAmI) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		if err := scout(ctx, c, what, func(f Found) bool { return yield(f, nil) }); err != nil {
			yield(Found{}, fmt.Errorf("scout: %w", err))
		}
	}
}

func scout(ctx context.Context, c Config, what wire.WhatAmI, found func(Found) bool) error {
	c, group, err := c.withDefaults()
	if err != nil {
		return err
	}
	interfaces, err := c.interfaces()
	if err != nil {
		return err
	}
	question, err := (&wire.Scout{What: what, ZID: c.ZID}).AppendBinary(nil)
	if err != nil {
		return err
	}
	var config net.ListenConfig
	packets, err := config.ListenPacket(ctx, "udp4", "0.0.0.0:0")
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	conn := packets.(*net.UDPConn)
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // wakes up who reads
	defer stop()
	for pause := c.Interval; ctx.Err() == nil; pause = min(2*pause, 8*c.Interval) {
		err := ask(conn, group, interfaces, c.TTL, question)
		if err == nil {
			err = conn.SetReadDeadline(time.Now().Add(pause))
		}
		if err == nil {
			err = hear(conn, c.ZID, what, found)
		}
		switch {
		case errors.Is(err, errEnough) || ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// ask sends a question out of each interface. It fails when that works for none.
func ask(conn *net.UDPConn, group *net.UDPAddr, interfaces []net.Interface, ttl int, question []byte) error {
	p := ipv4.NewPacketConn(conn)
	if err := p.SetMulticastTTL(ttl); err != nil {
		return fmt.Errorf("set TTL: %w", err)
	}
	errs := []error{errors.New("no interface to ask on")}
	for i := range interfaces {
		err := p.SetMulticastInterface(&interfaces[i])
		if err == nil {
			_, err = conn.WriteToUDP(question, group)
		}
		if err == nil {
			errs = nil
		} else if errs != nil {
			errs = append(errs, fmt.Errorf("ask on %s: %w", interfaces[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// errEnough is for a caller who has found what it wanted.
var errEnough = errors.New("enough")

// hear hands on answers until the deadline of the socket.
func hear(conn *net.UDPConn, self wire.ZID, what wire.WhatAmI, found func(Found) bool) error {
	b := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read answers: %w", err)
		}
		m, err := wire.DecodeScouting(b[:n])
		hello, ok := m.(*wire.Hello)
		if err != nil || !ok || hello.WhatAmI&what == 0 || hello.ZID == self {
			continue
		}
		if !found(Found{Hello: *hello, From: from}) {
			return errEnough
		}
	}
}
