package zenohenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Prefix begins the names of all variables.
const Prefix = "OPRC_ZENOH_"

// Loaded is a configuration, and where its values come from.
type Loaded struct {
	Config
	// Origins has the variable or flag by the name of what it set, such as listen/endpoints. What is not in it comes from OPRC_ZENOH_CONFIG
	// or is a default.
	Origins map[string]string
}

// Defaults are what a component has when nobody says otherwise.
type Defaults struct {
	Mode string
	Port uint16 // of the listener; 0 lets the system choose
}

// Load reads OPRC_ZENOH_CONFIG and then the other variables. Errors name the variable and its value; there may be several in one. Unlike in
// OaaS-RS a list of OPRC_ZENOH_CONFIG that no variable replaces stays.
func Load(lookup func(string) (string, bool), defaults Defaults) (*Loaded, error) {
	l := &Loaded{Origins: map[string]string{}}
	l.Mode = defaults.Mode
	l.Transport.Unicast.MaxSessions, l.Transport.Unicast.MaxLinks = 4096, 16
	if text, ok := lookup(Prefix + "CONFIG"); ok && strings.TrimSpace(text) != "" {
		if err := parse(text, &l.Config); err != nil {
			return nil, fmt.Errorf("%sCONFIG: %w", Prefix, err)
		}
		if defaults.Mode == "router" {
			l.Mode = "router"
		}
	}
	var errs []error
	for _, v := range variables {
		text, ok := lookup(Prefix + v.name)
		if !ok || text == "" {
			continue
		}
		if err := l.Set(v.name, text, Prefix+v.name); err != nil {
			errs = append(errs, err)
		}
	}
	if err := l.listen(lookup, defaults); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return l, l.Validate()
}

// listen makes the endpoint of the port and the protocol, unless the configuration has one and neither variable is set.
func (l *Loaded) listen(lookup func(string) (string, bool), defaults Defaults) error {
	port, portSet := lookup(Prefix + "PORT")
	protocol, protocolSet := lookup(Prefix + "PROTOCOL")
	portSet, protocolSet = portSet && port != "", protocolSet && protocol != ""
	if len(l.Listen.Endpoints) > 0 && !portSet && !protocolSet {
		return nil
	}
	origin := "default"
	n := uint64(defaults.Port)
	if portSet {
		var err error
		if n, err = strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("%sPORT=%q: want a port, 0 to 65535", Prefix, port)
		}
		origin = Prefix + "PORT"
	}
	if protocolSet {
		origin = Prefix + "PROTOCOL"
	} else {
		protocol = "tcp"
	}
	l.Listen.Endpoints = Endpoints{fmt.Sprintf("%s/[::]:%d", protocol, n)}
	l.Origins["listen/endpoints"] = origin
	return nil
}

// variable is one that sets a value as it is.
type variable struct {
	name string
	path string // of what it sets
	help string
	set  func(c *Config, text string) error
}

var variables = []variable{
	{"MODE", "mode", "peer, client or router", func(c *Config, s string) error {
		if c.Mode != "router" { // the router stays one, whatever its environment says
			c.Mode = s
		}
		return nil
	}},
	{"PEERS", "connect/endpoints", "endpoints to connect to, with commas between", func(c *Config, s string) error {
		c.Connect.Endpoints = splitList(s)
		return nil
	}},
	{"GOSSIP_ENABLED", "scouting/gossip/enabled", "true or false", flagOf(func(c *Config) **bool { return &c.Scouting.Gossip.Enabled })},
	{"GOSSIP_MULTIHOP", "scouting/gossip/multihop", "true or false", boolOf(func(c *Config) *bool { return &c.Scouting.Gossip.Multihop })},
	{"SCOUTING_MULTICAST_ENABLED", "scouting/multicast/enabled", "true or false",
		flagOf(func(c *Config) **bool { return &c.Scouting.Multicast.Enabled })},
	{"LINKSTATE", "routing/peer/mode", "true makes peers route in link-state mode", func(c *Config, s string) error {
		on, err := strconv.ParseBool(s)
		if c.Routing.Peer.Mode = ""; on {
			c.Routing.Peer.Mode = "linkstate"
		}
		return err
	}},
	{"MAX_SESSIONS", "transport/unicast/max_sessions", "sessions at once", intOf(func(c *Config) *int { return &c.Transport.Unicast.MaxSessions })},
	{"MAX_LINKS", "transport/unicast/max_links", "links of a session", intOf(func(c *Config) *int { return &c.Transport.Unicast.MaxLinks })},
	{"BUFFER_SIZE", "transport/link/rx/buffer_size", "bytes", intOf(func(c *Config) *int { return &c.Transport.Link.RX.BufferSize })},
	{"DEFAULT_TIMEOUT", "queries_default_timeout", "of queries, in ms", intOf(func(c *Config) *int { return &c.QueryTimeout })},
	{"ADMINSPACE_ENABLED", "adminspace/enabled", "true or false", boolOf(func(c *Config) *bool { return &c.Admin.Enabled })},
}

func boolOf(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, s string) (err error) {
		if *field(c), err = strconv.ParseBool(s); err != nil {
			return errors.New("want true or false")
		}
		return nil
	}
}

func flagOf(field func(*Config) **bool) func(*Config, string) error {
	return func(c *Config, s string) error {
		on, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("want true or false")
		}
		*field(c) = &on
		return nil
	}
}

func intOf(field func(*Config) *int) func(*Config, string) error {
	return func(c *Config, s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n <= 0 {
			return errors.New("want a positive number")
		}
		*field(c) = n
		return nil
	}
}

// splitList takes a list apart at commas; blanks do not count.
func splitList(s string) Endpoints {
	var list Endpoints
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// Set sets what the variable of that name (without Prefix) does, and takes note of the origin.
func (l *Loaded) Set(name, text, origin string) error {
	for _, v := range variables {
		if v.name != name {
			continue
		}
		if err := v.set(&l.Config, text); err != nil {
			return fmt.Errorf("%s=%q: %w", origin, text, err)
		}
		l.Origins[v.path] = origin
		return nil
	}
	return fmt.Errorf("%s: no such setting", name)
}

// Validate tells what cannot be honoured, by the name of the key.
func (c *Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %w", key, fmt.Errorf(format, args...)))
	}
	if c.Mode != "router" && c.Mode != "peer" && c.Mode != "client" {
		bad("mode", "%q is none of router, peer, client", c.Mode)
	}
	if c.ID != "" {
		if _, err := wire.ParseZID(c.ID); err != nil {
			bad("id", "%w", err)
		}
	}
	for key, list := range map[string]Endpoints{"listen/endpoints": c.Listen.Endpoints, "connect/endpoints": c.Connect.Endpoints} {
		for _, endpoint := range list {
			if _, err := transport.ParseEndpoint(endpoint); err != nil {
				bad(key, "%w", err)
			}
		}
	}
	if _, ok := resolutions[c.Transport.Link.TX.Resolution]; !ok {
		bad("transport/link/tx/sequence_number_resolution", "%q is none of 8bit, 16bit, 32bit", c.Transport.Link.TX.Resolution)
	}
	if n := c.Transport.Link.TX.BatchSize; n < 0 || n > wire.MaxBatchSize {
		bad("transport/link/tx/batch_size", "%d is not between 1 and %d", n, wire.MaxBatchSize)
	}
	if c.Stamps.DropFuture {
		bad("timestamping/drop_future_timestamp", "not supported: such stamps are replaced")
	}
	if auth := c.Transport.Auth.UserPassword; (auth.User == "") != (auth.Password == "") {
		bad("transport/auth/usrpwd", "user and password belong together")
	}
	if c.Access != nil {
		if err := c.Access.Validate(); err != nil {
			bad("access_control", "%w", err)
		}
	}
	for key, n := range c.numbers() {
		if n < 0 {
			bad(key, "%d is negative", n)
		}
	}
	return errors.Join(errs...)
}

func (c *Config) numbers() map[string]int {
	u, tx := c.Transport.Unicast, c.Transport.Link.TX
	return map[string]int{
		"queries_default_timeout": c.QueryTimeout, "transport/unicast/open_timeout": u.OpenTimeout, "transport/unicast/accept_timeout": u.AcceptTimeout,
		"transport/unicast/accept_pending": u.AcceptPending, "transport/unicast/max_sessions": u.MaxSessions,
		"transport/link/tx/lease": tx.Lease, "transport/link/tx/keep_alive": tx.KeepAlive,
		"transport/link/rx/max_message_size": c.Transport.Link.RX.MaxMessageSize,
		"connect/retry/period_init_ms":       c.Connect.Retry.Initial, "connect/retry/period_max_ms": c.Connect.Retry.Max,
	}
}

// Idle gives the keys that are set and make no difference here.
func (c *Config) Idle() []string { return idleIn(reflect.ValueOf(*c), "") }

func idleIn(v reflect.Value, path string) (keys []string) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if path != "" {
			name = path + "/" + name
		}
		switch field := v.Field(i); {
		case field.Type() == reflect.TypeFor[idle]():
			if field.Len() > 0 && string(field.Bytes()) != "null" {
				keys = append(keys, name)
			}
		case field.Kind() == reflect.Struct:
			keys = append(keys, idleIn(field, name)...)
		}
	}
	return keys
}

// Text gives the configuration and the origins of its values as JSON, without passwords.
func (l *Loaded) Text() string {
	shown := *l
	if shown.Transport.Auth.UserPassword.Password != "" {
		shown.Transport.Auth.UserPassword.Password = "***"
	}
	b, err := json.MarshalIndent(map[string]any{"config": shown.Config, "origins": l.Origins}, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}
