// Package zenohenv reads the configuration of Zenoh that every part of the platform has: Zenoh's own configuration as JSON5 in OPRC_ZENOH_CONFIG,
// and the variables OPRC_ZENOH_* of OaaS-RS over it. It makes the configuration of a session or of a router of it.
//
// Guarantee: nothing is ignored silently. A key or variable that is unknown, malformed or cannot be honoured is an error that names it; keys of
// Zenoh that make no difference here are listed by Config.Idle.
package zenohenv

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/hpcclab/oaas-go/broker/zenoh/json5"
	"github.com/hpcclab/oaas-go/broker/zenoh/router"
)

// Config is the part of Zenoh's configuration that has an effect here, in its form. Zero and nil are Zenoh's defaults.
type Config struct {
	ID       string     `json:"id,omitempty"`
	Mode     string     `json:"mode,omitempty"` // router, peer or client
	Metadata any        `json:"metadata,omitempty"`
	Connect  Connect    `json:"connect,omitzero"`
	Listen   Listen     `json:"listen,omitzero"`
	Scouting Scouting   `json:"scouting,omitzero"`
	Stamps   Timestamps `json:"timestamping,omitzero"`

	QueryTimeout int            `json:"queries_default_timeout,omitempty"` // ms
	Transport    Transport      `json:"transport,omitzero"`
	Access       *router.Access `json:"access_control,omitempty"`
	Admin        Admin          `json:"adminspace,omitzero"`
	Routing      Routing        `json:"routing,omitzero"`

	// What makes no difference here.
	Plugins        idle `json:"plugins,omitempty"`
	PluginsLoading idle `json:"plugins_loading,omitempty"`
	OpenConditions idle `json:"open,omitempty"`
	Aggregation    idle `json:"aggregation,omitempty"`
}

// idle is a part of the configuration that is kept, and does nothing here.
type idle = json.RawMessage

// Endpoints are those of all roles, or of one: Zenoh has both forms.
type Endpoints []string

// Connect says whom to dial.
type Connect struct {
	Endpoints     Endpoints `json:"endpoints,omitempty"`
	Retry         Retry     `json:"retry,omitzero"`
	TimeoutMs     idle      `json:"timeout_ms,omitempty"`
	ExitOnFailure idle      `json:"exit_on_failure,omitempty"`
}

// Retry is the pause between attempts to connect, in ms.
type Retry struct {
	Initial int     `json:"period_init_ms,omitempty"`
	Max     int     `json:"period_max_ms,omitempty"`
	Factor  float64 `json:"period_increase_factor,omitempty"`
}

// Listen says where to be dialled.
type Listen struct {
	Endpoints     Endpoints `json:"endpoints,omitempty"`
	TimeoutMs     idle      `json:"timeout_ms,omitempty"`
	ExitOnFailure idle      `json:"exit_on_failure,omitempty"`
	Retry         idle      `json:"retry,omitempty"`
}

// Scouting says how nodes find each other.
type Scouting struct {
	Timeout   int       `json:"timeout,omitempty"` // ms
	Delay     int       `json:"delay,omitempty"`   // ms
	Multicast Multicast `json:"multicast,omitzero"`
	Gossip    Gossip    `json:"gossip,omitzero"`
}

// Multicast is scouting on the local network.
type Multicast struct {
	Enabled   *bool  `json:"enabled,omitempty"` // nil is Zenoh's default
	Address   string `json:"address,omitempty"`
	Interface string `json:"interface,omitempty"`
	TTL       int    `json:"ttl,omitempty"`
	Connect   idle   `json:"autoconnect,omitempty"`
	Strategy  idle   `json:"autoconnect_strategy,omitempty"`
	Listen    idle   `json:"listen,omitempty"`
}

// Gossip is scouting through neighbours.
type Gossip struct {
	Enabled  *bool `json:"enabled,omitempty"`
	Multihop bool  `json:"multihop,omitempty"`
	Target   idle  `json:"target,omitempty"`
	Connect  idle  `json:"autoconnect,omitempty"`
	Strategy idle  `json:"autoconnect_strategy,omitempty"`
}

// Timestamps says whether samples get the time.
type Timestamps struct {
	Enabled    *PerRole `json:"enabled,omitempty"`
	DropFuture bool     `json:"drop_future_timestamp,omitempty"`
}

// PerRole is a switch for all roles, or one for each.
type PerRole struct{ Router, Peer, Client bool }

// Transport is the part below sessions.
type Transport struct {
	Unicast      Unicast `json:"unicast,omitzero"`
	Link         Link    `json:"link,omitzero"`
	Auth         Auth    `json:"auth,omitzero"`
	SharedMemory idle    `json:"shared_memory,omitempty"`
	Multicast    idle    `json:"multicast,omitempty"`
}

// Unicast bounds sessions.
type Unicast struct {
	OpenTimeout   int    `json:"open_timeout,omitempty"`   // ms
	AcceptTimeout int    `json:"accept_timeout,omitempty"` // ms
	AcceptPending int    `json:"accept_pending,omitempty"`
	MaxSessions   int    `json:"max_sessions,omitempty"`
	MaxLinks      int    `json:"max_links,omitempty"`
	QoS           Switch `json:"qos,omitzero"`
	LowLatency    idle   `json:"lowlatency,omitempty"`
	Compression   idle   `json:"compression,omitempty"`
}

// Switch turns something on or off; nil is the default.
type Switch struct {
	Enabled *bool `json:"enabled,omitempty"`
}

// Link says how links are used.
type Link struct {
	TX        LinkTX `json:"tx,omitzero"`
	RX        LinkRX `json:"rx,omitzero"`
	TLS       TLS    `json:"tls,omitzero"`
	Protocols idle   `json:"protocols,omitempty"`
	TCP       idle   `json:"tcp,omitempty"`
	Unixpipe  idle   `json:"unixpipe,omitempty"`
}

// LinkTX is about what is sent.
type LinkTX struct {
	Resolution string `json:"sequence_number_resolution,omitempty"` // 8bit, 16bit, 32bit
	Lease      int    `json:"lease,omitempty"`                      // ms
	KeepAlive  int    `json:"keep_alive,omitempty"`
	BatchSize  int    `json:"batch_size,omitempty"`
	Queue      Queue  `json:"queue,omitzero"`
	Threads    idle   `json:"threads,omitempty"`
}

// Queue is what waits for a link.
type Queue struct {
	Congestion Congestion `json:"congestion_control,omitzero"`
	Size       idle       `json:"size,omitempty"`
	Batching   idle       `json:"batching,omitempty"`
	Allocation idle       `json:"allocation,omitempty"`
}

// Congestion says how long messages wait for a full queue, in microseconds.
type Congestion struct {
	Drop struct {
		Wait      int  `json:"wait_before_drop,omitempty"`
		Fragments idle `json:"max_wait_before_drop_fragments,omitempty"`
	} `json:"drop,omitzero"`
	Block struct {
		Wait int `json:"wait_before_close,omitempty"`
	} `json:"block,omitzero"`
}

// LinkRX is about what is received.
type LinkRX struct {
	BufferSize     int `json:"buffer_size,omitempty"` // no effect: buffers have the size of a batch
	MaxMessageSize int `json:"max_message_size,omitempty"`
}

// TLS names the files of links with tls.
type TLS struct {
	RootCA           string `json:"root_ca_certificate,omitempty"`
	ListenKey        string `json:"listen_private_key,omitempty"`
	ListenCert       string `json:"listen_certificate,omitempty"`
	ConnectKey       string `json:"connect_private_key,omitempty"`
	ConnectCert      string `json:"connect_certificate,omitempty"`
	MTLS             bool   `json:"enable_mtls,omitempty"`
	VerifyName       *bool  `json:"verify_name_on_connect,omitempty"`
	CloseWhenExpired bool   `json:"close_link_on_expiration,omitempty"`
}

// Auth says who must prove what.
type Auth struct {
	UserPassword UserPassword `json:"usrpwd,omitzero"`
	PublicKey    idle         `json:"pubkey,omitempty"`
}

// UserPassword is what this node says when it dials, and a file with a line user:password for each who may dial it.
type UserPassword struct {
	User       string `json:"user,omitempty"`
	Password   string `json:"password,omitempty"`
	Dictionary string `json:"dictionary_file,omitempty"`
}

// Admin is the space of keys in which a node tells of itself.
type Admin struct {
	Enabled     bool `json:"enabled,omitempty"`
	Permissions idle `json:"permissions,omitempty"`
}

// Routing is about peers and routers.
type Routing struct {
	Peer      RoutingPeer `json:"peer,omitzero"`
	Router    idle        `json:"router,omitempty"`
	Interests idle        `json:"interests,omitempty"`
}

// RoutingPeer says how peers route: peer_to_peer, or linkstate.
type RoutingPeer struct {
	Mode string `json:"mode,omitempty"`
}

// parse reads JSON5 into a configuration. Unknown keys are errors.
func parse(text string, c *Config) error {
	tree, err := json5.Parse([]byte(text))
	if err != nil {
		return fmt.Errorf("parse JSON5: %w", err)
	}
	b, err := json.Marshal(tree)
	if err != nil {
		return fmt.Errorf("parse JSON5: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// UnmarshalJSON takes a list, or an object of lists by role, of which all count: which role this is, it was told by who made the configuration.
func (e *Endpoints) UnmarshalJSON(b []byte) error {
	var list []string
	if json.Unmarshal(b, &list) == nil {
		*e = list
		return nil
	}
	var roles map[string][]string
	if err := json.Unmarshal(b, &roles); err != nil {
		return errors.New("endpoints: want a list of endpoints, or an object of such lists by role")
	}
	*e = nil
	for _, role := range []string{"router", "peer", "client"} {
		for _, endpoint := range roles[role] {
			if !slices.Contains(*e, endpoint) {
				*e = append(*e, endpoint)
			}
		}
	}
	return nil
}

// UnmarshalJSON takes true, false, or an object of these by role.
func (p *PerRole) UnmarshalJSON(b []byte) error {
	var all bool
	if json.Unmarshal(b, &all) == nil {
		*p = PerRole{all, all, all}
		return nil
	}
	roles := struct{ Router, Peer, Client bool }{Router: true}
	if err := json.Unmarshal(b, &roles); err != nil {
		return errors.New("want true, false, or an object of these by role")
	}
	*p = roles
	return nil
}
