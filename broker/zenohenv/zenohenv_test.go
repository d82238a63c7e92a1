package zenohenv

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/router"
)

func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

func load(t *testing.T, env map[string]string, d Defaults) *Loaded {
	t.Helper()
	l, err := Load(lookupIn(env), d)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var routerDefaults = Defaults{Mode: "router", Port: 17447}

func TestRouterDefaults(t *testing.T) {
	l := load(t, nil, routerDefaults)
	config, err := l.RouterConfig()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(config.Listen, []string{"tcp/[::]:17447"}) || config.Limits.Sessions != 4096 || config.AdminSpace || config.NoTimestamps {
		t.Errorf("got %+v", config)
	}
	if config.Scouting == nil {
		t.Error("scouting is off")
	}
}

func TestVariablesGoBeforeTheFile(t *testing.T) {
	file := `{
		// as in a file of zenohd
		mode: "peer", id: 'abc', metadata: {name: "edge"},
		listen: {endpoints: {router: ["tcp/127.0.0.1:1"], peer: ["tcp/127.0.0.1:1"]}},
		connect: {endpoints: ["tcp/upper:7447"], retry: {period_init_ms: 100, period_max_ms: 900, period_increase_factor: 1.5}},
		queries_default_timeout: 5000,
		timestamping: {enabled: {router: false}},
		transport: {
			unicast: {max_sessions: 7, accept_pending: 9, qos: {enabled: false}},
			link: {tx: {lease: 3000, batch_size: 0x2000, sequence_number_resolution: "16bit",
				queue: {congestion_control: {block: {wait_before_close: 2000000}}}}},
			auth: {usrpwd: {user: "u", password: "p"}},
			shared_memory: {enabled: true},
		},
		scouting: {multicast: {enabled: true, interface: "lo,eth0"}},
		plugins: {},
	}`
	for name, c := range map[string]struct {
		env     map[string]string
		listen  string
		connect string
		max     int
		timeout time.Duration
	}{
		"file alone": {nil, "tcp/127.0.0.1:1", "tcp/upper:7447", 7, 5 * time.Second},
		"variables": {map[string]string{"PORT": "5", "PROTOCOL": "ws", "PEERS": " tcp/a:1 ,, tcp/b:2", "MAX_SESSIONS": "3", "DEFAULT_TIMEOUT": "70"},
			"ws/[::]:5", "tcp/a:1 tcp/b:2", 3, 70 * time.Millisecond},
		"empty ones do not count": {map[string]string{"PORT": "", "PEERS": "", "MAX_SESSIONS": ""}, "tcp/127.0.0.1:1", "tcp/upper:7447", 7, 5 * time.Second},
		"port alone":              {map[string]string{"PORT": "0"}, "tcp/[::]:0", "tcp/upper:7447", 7, 5 * time.Second},
	} {
		env := map[string]string{Prefix + "CONFIG": file}
		for k, v := range c.env {
			env[Prefix+k] = v
		}
		l := load(t, env, routerDefaults)
		got, err := l.RouterConfig()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(got.Listen, " ") != c.listen || strings.Join(got.Connect, " ") != c.connect {
			t.Errorf("%s: listen %v, connect %v", name, got.Listen, got.Connect)
		}
		if got.Limits.Sessions != c.max || got.QueryTimeout != c.timeout || got.Limits.Handshakes != 9 || !got.NoTimestamps {
			t.Errorf("%s: got %+v", name, got)
		}
		tr := got.Transport
		if tr.ZID.String() != "abc" || tr.Lease != 3*time.Second || tr.BatchSize != 0x2000 || tr.User != "u" || !tr.NoQoS || tr.BlockTimeout != 2*time.Second {
			t.Errorf("%s: transport %+v", name, tr)
		}
		if got.Backoff.Initial != 100*time.Millisecond || got.Backoff.Factor != 1.5 || len(got.Scouting.Interfaces) != 2 || l.Mode != "router" {
			t.Errorf("%s: got %+v", name, got)
		}
		if idle := strings.Join(l.Idle(), " "); idle != "transport/shared_memory plugins" {
			t.Errorf("%s: idle %s", name, idle)
		}
	}
}

func TestOriginsAndNoPasswords(t *testing.T) {
	l := load(t, map[string]string{
		Prefix + "CONFIG": `{transport: {auth: {usrpwd: {user: "u", password: "topsecret"}}}}`, Prefix + "ADMINSPACE_ENABLED": "true", Prefix + "MODE": "client",
	}, Defaults{Mode: "peer"})
	text := l.Text()
	for _, want := range []string{`"adminspace/enabled": "OPRC_ZENOH_ADMINSPACE_ENABLED"`, `"mode": "client"`, `"listen/endpoints": "default"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if strings.Contains(text, "topsecret") {
		t.Error("the password is shown")
	}
}

func TestBadConfigurations(t *testing.T) {
	for _, c := range []struct{ variable, value, want string }{
		{"CONFIG", "{mode:", "OPRC_ZENOH_CONFIG: parse JSON5: line 1, column 7"},
		{"CONFIG", "{mode: 'peer',\n mode: 'client'}", "twice"},
		{"CONFIG", "{lisen: {}}", "lisen"},
		{"CONFIG", "{transport: {link: {tx: {lease: 'x'}}}}", "lease"},
		{"CONFIG", "{transport: {link: {tx: {lease: -5}}}}", "transport/link/tx/lease"},
		{"CONFIG", "{transport: {link: {tx: {batch_size: 70000}}}}", "batch_size"},
		{"CONFIG", "{transport: {link: {tx: {sequence_number_resolution: '7bit'}}}}", "sequence_number_resolution"},
		{"CONFIG", "{transport: {auth: {usrpwd: {user: 'u'}}}}", "usrpwd"},
		{"CONFIG", "{id: 'XYZ'}", "id"},
		{"CONFIG", "{listen: {endpoints: 'tcp/x:1'}}", "endpoints"},
		{"CONFIG", "{listen: {endpoints: ['nonsense']}}", "listen/endpoints"},
		{"CONFIG", "{timestamping: {drop_future_timestamp: true}}", "drop_future_timestamp"},
		{"CONFIG", "{access_control: {enabled: true, rules: [{id: 'r', permission: 'allow', messages: ['x'], key_exprs: ['**']}]}}", "access_control"},
		{"CONFIG", "{access_control: {rulez: []}}", "rulez"},
		{"PORT", "70000", "OPRC_ZENOH_PORT"},
		{"PORT", "x", "OPRC_ZENOH_PORT"},
		{"PEERS", "tcp", "connect/endpoints"},
		{"MAX_SESSIONS", "0", "OPRC_ZENOH_MAX_SESSIONS"},
		{"GOSSIP_ENABLED", "ja", "OPRC_ZENOH_GOSSIP_ENABLED"},
		{"ADMINSPACE_ENABLED", "2", "OPRC_ZENOH_ADMINSPACE_ENABLED"},
		{"LINKSTATE", "x", "OPRC_ZENOH_LINKSTATE"},
		{"MODE", "boss", "mode"},
	} {
		_, err := Load(lookupIn(map[string]string{Prefix + c.variable: c.value}), Defaults{Mode: "peer"})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: %v, want an error about %s", c.variable, c.value, err, c.want)
		}
	}
}

func TestFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	users := filepath.Join(dir, "users.txt")
	if err := os.WriteFile(users, []byte("alice:secret\n\nbob:with:colon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := func(users string) (router.Config, error) {
		return load(t, map[string]string{Prefix + "CONFIG": `{transport:{auth:{usrpwd:{dictionary_file:"` + users + `"}}}}`}, routerDefaults).RouterConfig()
	}
	c, err := config(users)
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := c.Transport.PasswordOf("bob"); !ok || p != "with:colon" {
		t.Errorf("bob has %q, %t", p, ok)
	}
	if _, ok := c.Transport.PasswordOf("carol"); ok {
		t.Error("carol has a password")
	}
	if err := os.WriteFile(users, []byte("alice\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{users, filepath.Join(dir, "none")} {
		if _, err := config(file); err == nil || !strings.Contains(err.Error(), "dictionary_file") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestSessions(t *testing.T) {
	env := map[string]string{
		Prefix + "PEERS": "tcp/router:7447", Prefix + "DEFAULT_TIMEOUT": "300", Prefix + "GOSSIP_ENABLED": "false",
		Prefix + "SCOUTING_MULTICAST_ENABLED": "false", Prefix + "CONFIG": `{timestamping: {enabled: true}}`,
	}
	for mode, listen := range map[string]string{"peer": "tcp/[::]:0", "client": ""} {
		env[Prefix+"MODE"] = mode
		c, err := load(t, env, Defaults{Mode: "peer"}).SessionConfig()
		if err != nil {
			t.Fatal(err)
		}
		if c.Mode.String() != mode || strings.Join(c.Listen.Endpoints, "") != listen || c.Connect.Endpoints[0] != "tcp/router:7447" {
			t.Errorf("%s: got %+v", mode, c)
		}
		if c.QueriesDefaultTimeout != 300*time.Millisecond || !c.Timestamping || !c.Scouting.Multicast.Disabled || !c.Scouting.Gossip.Disabled {
			t.Errorf("%s: got %+v", mode, c)
		}
	}
	env[Prefix+"MODE"] = "router"
	if _, err := load(t, env, Defaults{Mode: "peer"}).SessionConfig(); err == nil || !strings.Contains(err.Error(), "mode") {
		t.Errorf("a session that is a router: %v", err)
	}
}
