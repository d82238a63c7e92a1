package zenoh

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

func TestConfigFromJSON5(t *testing.T) {
	passwords := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(passwords, []byte("alice:secret\n\nbob:a:b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, ignored, err := ConfigFromJSON5([]byte(`{
		// a document as for zenohd
		id: "1234567890abcdef",
		mode: 'client',
		connect: {
			endpoints: { router: ["tcp/nowhere:1"], client: ["tcp/localhost:7447", "tls/there:7448#a=b"] },
			timeout_ms: { router: -1, peer: -1, client: 2000 },
			exit_on_failure: true,
			retry: { period_init_ms: 100, period_max_ms: 800, period_increase_factor: 1.5 },
		},
		listen: { endpoints: { router: ["tcp/[::]:7447"] } },
		scouting: { timeout: 1000, delay: 10, multicast: { enabled: false, ttl: 2, interface: "auto", listen: { client: false } }, gossip: { enabled: false } },
		timestamping: { enabled: { router: true, client: true } },
		queries_default_timeout: 1500,
		transport: {
			unicast: { open_timeout: 3000, qos: { enabled: false } },
			link: {
				tx: { lease: 5000, keep_alive: 5, batch_size: 4096, sequence_number_resolution: "16bit",
					queue: { size: { control: 1 }, congestion_control: { drop: { wait_before_drop: 2000 }, block: { wait_before_close: 1000000 } } } },
				rx: { max_message_size: 1048576 },
				tls: { verify_name_on_connect: false, root_ca_certificate: null },
			},
			auth: { usrpwd: { user: "alice", password: "secret", dictionary_file: "` + passwords + `" } },
		},
		plugins: {},
	}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"connect/exit_on_failure", "plugins", "transport/link/tx/queue/size/control"}; !slices.Equal(ignored, want) {
		t.Errorf("ignored %q, want %q", ignored, want)
	}
	if p, ok := c.PasswordOf("bob"); p != "a:b" || !ok {
		t.Errorf("bob has %q", p)
	}
	if _, ok := c.PasswordOf("eve"); ok {
		t.Error("eve is known")
	}
	if c.Transport.Link.DialTLS == nil || !c.Transport.Link.DialTLS.InsecureSkipVerify {
		t.Error("tls is not set")
	}
	c.PasswordOf, c.Transport.Link.DialTLS = nil, nil
	want := Config{
		Mode: Client, Connect: ConnectConfig{Endpoints: []string{"tcp/localhost:7447", "tls/there:7448#a=b"}, Timeout: 2 * time.Second},
		Scouting: ScoutingConfig{
			Timeout: time.Second, Delay: 10 * time.Millisecond,
			Multicast: MulticastConfig{Disabled: true, TTL: 2, Mute: true}, Gossip: GossipConfig{Disabled: true},
		},
		Timestamping: true, QueriesDefaultTimeout: 1500 * time.Millisecond, User: "alice", Password: "secret",
	}
	want.ZID, _ = wire.ParseZID("1234567890abcdef")
	want.Connect.Retry.Initial, want.Connect.Retry.Max, want.Connect.Retry.Factor = 100*time.Millisecond, 800*time.Millisecond, 1.5
	want.Transport.OpenTimeout, want.Transport.NoQoS, want.Transport.Lease = 3*time.Second, true, 5*time.Second
	want.Transport.KeepAlives, want.Transport.BatchSize, want.Transport.Resolution = 5, 4096, 0x09
	want.Transport.DropAfter, want.Transport.BlockTimeout, want.Transport.MaxMessageSize = 2*time.Millisecond, time.Second, 1<<20
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{mode: "broker"}`: "mode: \"broker\" is not",
		`{mode: "router"}`: "a session is a client or a peer",
		`{mode: "client", scouting: {multicast: {enabled: false}}}`:       "needs scouting.multicast",
		`{connect: {endpoints: "tcp/a:1"}}`:                               "connect/endpoints: tcp/a:1 is no list",
		`{connect: {endpoints: ["tcp"]}}`:                                 `"tcp"`,
		`{transport: {link: {tx: {batch_size: 65536}}}}`:                  "transport/link/tx/batch_size: 65536",
		`{transport: {link: {tx: {sequence_number_resolution: "9bit"}}}}`: "9bit",
		`{transport: {link: {tls: {root_ca_certificate: "/nowhere"}}}}`:   "/nowhere",
		`{transport: {auth: {usrpwd: {dictionary_file: "/nowhere"}}}}`:    "/nowhere",
		`{transport: {auth: {usrpwd: {password: "a"}}}}`:                  "a password without a user",
		`{queries_default_timeout: "soon"}`:                               "queries_default_timeout: soon",
		`{id: "0"}`:                                                       "id:",
		`[]`:                                                              "no object",
		`{`:                                                               "line 1",
	} {
		if _, _, err := ConfigFromJSON5([]byte(text)); !errors.Is(err, ErrInvalidConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	if _, _, err := ConfigFromFile("/nowhere"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
