package zenoh

import (
	"bufio"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/json5"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// ConfigFromFile reads a file; see ConfigFromJSON5.
func ConfigFromFile(path string) (Config, []string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, nil, fmt.Errorf("read configuration: %w", err)
	}
	c, ignored, err := ConfigFromJSON5(text)
	if err != nil {
		return Config{}, nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, ignored, nil
}

// ConfigFromJSON5 reads Zenoh's own configuration document. What has no meaning for a session of this package is not refused, as documents are
// shared with other implementations; the second result names those keys, in order, so that they can be shown. A value that is wrong is
// ErrInvalidConfig, with its key. Files that are named in the document are read.
func ConfigFromJSON5(text []byte) (Config, []string, error) {
	v, err := json5.Parse(text)
	if err != nil {
		return Config{}, nil, fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	root, ok := v.(map[string]any)
	if !ok {
		return Config{}, nil, fmt.Errorf("%w: no object", ErrInvalidConfig)
	}
	d := &document{}
	if mode, ok := root["mode"]; ok { // which decides on what others mean
		if err := d.set("mode", keySetters["mode"], mode); err != nil {
			return Config{}, nil, err
		}
		delete(root, "mode")
	}
	if err := d.walk("", root); err != nil {
		return Config{}, nil, err
	}
	if d.tls != (transport.TLSFiles{}) {
		if d.c.Transport.Link, err = d.tls.LinkConfig(); err != nil {
			return Config{}, nil, fmt.Errorf("%w: transport/link/tls: %w", ErrInvalidConfig, err)
		}
	}
	slices.Sort(d.ignored)
	return d.c, d.ignored, d.c.Validate()
}

// document is a configuration that is being read.
type document struct {
	c       Config
	tls     transport.TLSFiles
	ignored []string
}

// walk takes over an object. Keys are named by their path, with slashes.
func (d *document) walk(path string, object map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		v, key := object[key], path+key
		if set := keySetters[key]; set != nil {
			if err := d.set(key, set, v); err != nil {
				return err
			}
			continue
		}
		if inner, ok := v.(map[string]any); ok && len(inner) > 0 {
			if err := d.walk(key+"/", inner); err != nil {
				return err
			}
			continue
		}
		d.ignored = append(d.ignored, key)
	}
	return nil
}

// set takes over one value. One that is null is the default, and one may be given for each mode.
func (d *document) set(key string, set func(*document, any) error, v any) error {
	if modes, ok := v.(map[string]any); ok {
		mode := d.c.Mode
		if mode == 0 {
			mode = Peer
		}
		v = modes[mode.String()]
	}
	if v == nil {
		return nil
	}
	if err := set(d, v); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInvalidConfig, key, err)
	}
	return nil
}

// keySetters are the keys that mean something for a session.
var keySetters = map[string]func(*document, any) error{
	"id":   func(d *document, v any) error { return parsed(&d.c.ZID, v, wire.ParseZID) },
	"mode": func(d *document, v any) error { return parsed(&d.c.Mode, v, parseMode) },

	"connect/endpoints":                     func(d *document, v any) error { return texts(&d.c.Connect.Endpoints, v) },
	"connect/timeout_ms":                    func(d *document, v any) error { return duration(&d.c.Connect.Timeout, v, time.Millisecond) },
	"connect/retry/period_init_ms":          func(d *document, v any) error { return duration(&d.c.Connect.Retry.Initial, v, time.Millisecond) },
	"connect/retry/period_max_ms":           func(d *document, v any) error { return duration(&d.c.Connect.Retry.Max, v, time.Millisecond) },
	"connect/retry/period_increase_factor":  func(d *document, v any) error { return typed(&d.c.Connect.Retry.Factor, v) },
	"listen/endpoints":                      func(d *document, v any) error { return texts(&d.c.Listen.Endpoints, v) },
	"scouting/timeout":                      func(d *document, v any) error { return duration(&d.c.Scouting.Timeout, v, time.Millisecond) },
	"scouting/delay":                        func(d *document, v any) error { return duration(&d.c.Scouting.Delay, v, time.Millisecond) },
	"scouting/multicast/enabled":            func(d *document, v any) error { return not(&d.c.Scouting.Multicast.Disabled, v) },
	"scouting/multicast/address":            func(d *document, v any) error { return typed(&d.c.Scouting.Multicast.Address, v) },
	"scouting/multicast/interface":          func(d *document, v any) error { return interfaces(&d.c.Scouting.Multicast.Interfaces, v) },
	"scouting/multicast/ttl":                func(d *document, v any) error { return whole(&d.c.Scouting.Multicast.TTL, v, 255) },
	"scouting/multicast/listen":             func(d *document, v any) error { return not(&d.c.Scouting.Multicast.Mute, v) },
	"scouting/gossip/enabled":               func(d *document, v any) error { return not(&d.c.Scouting.Gossip.Disabled, v) },
	"timestamping/enabled":                  func(d *document, v any) error { return typed(&d.c.Timestamping, v) },
	"queries_default_timeout":               func(d *document, v any) error { return duration(&d.c.QueriesDefaultTimeout, v, time.Millisecond) },
	"transport/unicast/open_timeout":        func(d *document, v any) error { return duration(&d.c.Transport.OpenTimeout, v, time.Millisecond) },
	"transport/unicast/qos/enabled":         func(d *document, v any) error { return not(&d.c.Transport.NoQoS, v) },
	"transport/link/tx/lease":               func(d *document, v any) error { return duration(&d.c.Transport.Lease, v, time.Millisecond) },
	"transport/link/tx/keep_alive":          func(d *document, v any) error { return whole(&d.c.Transport.KeepAlives, v, 1000) },
	"transport/link/tx/batch_size":          func(d *document, v any) error { return whole(&d.c.Transport.BatchSize, v, wire.MaxBatchSize) },
	"transport/link/rx/max_message_size":    func(d *document, v any) error { return whole(&d.c.Transport.MaxMessageSize, v, math.MaxInt32) },
	"transport/auth/usrpwd/user":            func(d *document, v any) error { return typed(&d.c.User, v) },
	"transport/auth/usrpwd/password":        func(d *document, v any) error { return typed(&d.c.Password, v) },
	"transport/auth/usrpwd/dictionary_file": func(d *document, v any) error { return parsed(&d.c.PasswordOf, v, readPasswords) },

	"transport/link/tx/sequence_number_resolution": func(d *document, v any) error {
		return parsed(&d.c.Transport.Resolution, v, parseResolution)
	},
	"transport/link/tx/queue/congestion_control/drop/wait_before_drop": func(d *document, v any) error {
		return duration(&d.c.Transport.DropAfter, v, time.Microsecond)
	},
	"transport/link/tx/queue/congestion_control/block/wait_before_close": func(d *document, v any) error {
		return duration(&d.c.Transport.BlockTimeout, v, time.Microsecond)
	},

	"transport/link/tls/root_ca_certificate":      func(d *document, v any) error { return typed(&d.tls.RootCACertificate, v) },
	"transport/link/tls/listen_certificate":       func(d *document, v any) error { return typed(&d.tls.ListenCertificate, v) },
	"transport/link/tls/listen_private_key":       func(d *document, v any) error { return typed(&d.tls.ListenPrivateKey, v) },
	"transport/link/tls/connect_certificate":      func(d *document, v any) error { return typed(&d.tls.ConnectCertificate, v) },
	"transport/link/tls/connect_private_key":      func(d *document, v any) error { return typed(&d.tls.ConnectPrivateKey, v) },
	"transport/link/tls/enable_mtls":              func(d *document, v any) error { return typed(&d.tls.EnableMTLS, v) },
	"transport/link/tls/verify_name_on_connect":   func(d *document, v any) error { return not(&d.tls.SkipNameOnConnect, v) },
	"transport/link/tls/close_link_on_expiration": func(d *document, v any) error { return typed(&d.tls.CloseLinkOnExpiration, v) },
}

// typed takes over a value of that type.
func typed[T any](to *T, v any) error {
	got, ok := v.(T)
	if !ok {
		return fmt.Errorf("%v is no %T", v, *to)
	}
	*to = got
	return nil
}

// not takes over the opposite of a truth value.
func not(to *bool, v any) error {
	if err := typed(to, v); err != nil {
		return err
	}
	*to = !*to
	return nil
}

// whole takes over a number from 0 to limit.
func whole[T int | uint16](to *T, v any, limit float64) error {
	f, ok := v.(float64)
	if !ok || f < 0 || f > limit || f != math.Trunc(f) {
		return fmt.Errorf("%v is no whole number from 0 to %v", v, limit)
	}
	*to = T(f)
	return nil
}

// duration takes over a number of some unit. Less than 0 is without end where that means something.
func duration(to *time.Duration, v any, unit time.Duration) error {
	f, ok := v.(float64)
	if !ok || math.IsNaN(f) || math.Abs(f) > float64(math.MaxInt64/int64(unit)) {
		return fmt.Errorf("%v is no number of %v", v, unit)
	}
	*to = time.Duration(f * float64(unit))
	return nil
}

// texts takes over a list.
func texts(to *[]string, v any) error {
	list, ok := v.([]any)
	if !ok {
		return fmt.Errorf("%v is no list", v)
	}
	*to = make([]string, len(list))
	for i := range list {
		if err := typed(&(*to)[i], list[i]); err != nil {
			return err
		}
	}
	return nil
}

// interfaces takes over the name of one, or "auto".
func interfaces(to *[]string, v any) error {
	var name string
	if err := typed(&name, v); err != nil || name == "auto" || name == "" {
		return err
	}
	*to = strings.Split(name, ",")
	return nil
}

func parsed[T any](to *T, v any, parse func(string) (T, error)) error {
	var text string
	if err := typed(&text, v); err != nil {
		return err
	}
	got, err := parse(text)
	*to = got
	return err
}

func parseMode(s string) (WhatAmI, error) {
	for _, mode := range []WhatAmI{Router, Peer, Client} {
		if mode.String() == s {
			return mode, nil
		}
	}
	return 0, fmt.Errorf("%q is not client, peer or router", s)
}

// parseResolution reads the bits of sequence numbers; those of request ids are always 32.
func parseResolution(s string) (wire.Resolution, error) {
	i := slices.Index([]string{"8bit", "16bit", "32bit", "64bit"}, s)
	if i < 0 {
		return 0, fmt.Errorf("%q is not 8bit, 16bit, 32bit or 64bit", s)
	}
	return wire.DefaultResolution&^3 | wire.Resolution(i), nil
}

// readPasswords reads a file with user:password on each line.
func readPasswords(path string) (func(string) (string, bool), error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	passwords := map[string]string{}
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		if lines.Text() == "" {
			continue
		}
		user, password, found := strings.Cut(lines.Text(), ":")
		if !found || user == "" {
			return nil, fmt.Errorf("%s: line %d is not user:password", path, n)
		}
		passwords[user] = password
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return func(user string) (string, bool) {
		password, known := passwords[user]
		return password, known
	}, nil
}
