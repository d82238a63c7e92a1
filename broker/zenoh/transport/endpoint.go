package transport

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Endpoint is where a node listens or is dialled: protocol/address?metadata#configuration, of which metadata and configuration are key=value
// pairs with semicolons between them. What stands before the # is a locator, which nodes tell each other; configuration stays at home.
type Endpoint struct {
	Protocol string // for example tcp
	Address  string // host:port, a path, or a name
	Metadata map[string]string
	Config   map[string]string
}

// ErrEndpoint is for text that is no endpoint, or one that this package cannot use.
var ErrEndpoint = errors.New("invalid endpoint")

// ParseEndpoint reads an endpoint. The error names it, and what is wrong.
func ParseEndpoint(s string) (Endpoint, error) {
	fail := func(why string) (Endpoint, error) {
		return Endpoint{}, fmt.Errorf("%w %.300q: %s", ErrEndpoint, s, why)
	}
	rest, config, _ := strings.Cut(s, "#")
	locator, metadata, _ := strings.Cut(rest, "?")
	protocol, address, found := strings.Cut(locator, "/")
	e := Endpoint{Protocol: protocol, Address: address}
	var err error
	switch {
	case !found || protocol == "":
		return fail("want protocol/address, for example tcp/localhost:7447")
	case address == "":
		return fail("no address behind the protocol")
	}
	if e.Metadata, err = parsePairs(metadata); err != nil {
		return fail("metadata: " + err.Error())
	}
	if e.Config, err = parsePairs(config); err != nil {
		return fail("configuration: " + err.Error())
	}
	return e, nil
}

func parsePairs(s string) (map[string]string, error) {
	pairs := map[string]string{}
	for pair := range strings.SplitSeq(s, ";") {
		key, value, found := strings.Cut(pair, "=")
		switch _, twice := pairs[key]; {
		case pair == "":
			continue
		case !found || key == "":
			return nil, fmt.Errorf("%.100q is not key=value", pair)
		case twice:
			return nil, fmt.Errorf("%.100q twice", key)
		}
		pairs[key] = value
	}
	return pairs, nil
}

// Locator gives the part that other nodes may know, with the keys in order.
func (e Endpoint) Locator() string { return e.Protocol + "/" + e.Address + pairsText("?", e.Metadata) }

// String gives the whole endpoint, with the keys in order.
func (e Endpoint) String() string { return e.Locator() + pairsText("#", e.Config) }

func pairsText(before string, pairs map[string]string) string {
	var text []string
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		text = append(text, key+"="+pairs[key])
	}
	if len(text) == 0 {
		return ""
	}
	return before + strings.Join(text, ";")
}

// onlyConfig refuses configuration that the protocol does not have: a switch that does nothing would be worse.
func (e Endpoint) onlyConfig(known ...string) error {
	for key := range e.Config {
		if !slices.Contains(known, key) {
			return fmt.Errorf("%w %.300q: %s has no configuration %q, only %q", ErrEndpoint, e, e.Protocol, key, known)
		}
	}
	return nil
}

// Locators gives where others can reach an endpoint that this node listens on: for an address that means all of this machine, those of its
// interfaces, loopback last. Links within the process have none.
func Locators(endpoint string) ([]string, error) {
	e, err := ParseEndpoint(endpoint)
	if err != nil || e.Protocol == "inproc" {
		return nil, err
	}
	host, port, err := net.SplitHostPort(e.Address)
	ip, errIP := netip.ParseAddr(host)
	if err != nil || errIP != nil && host != "" || ip.IsValid() && !ip.IsUnspecified() {
		return []string{e.Locator()}, nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	var list, loopback []string
	for _, addr := range addrs {
		p, err := netip.ParsePrefix(addr.String())
		local := p.Addr().Unmap()
		if err != nil || local.IsLinkLocalUnicast() || local.Is6() && ip.Is4() { // [::] means both
			continue
		}
		e.Address = net.JoinHostPort(local.String(), port)
		if local.IsLoopback() {
			loopback = append(loopback, e.Locator())
			continue
		}
		list = append(list, e.Locator())
	}
	return append(list, loopback...), nil
}
