package zenohenv

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/router"
	"github.com/hpcclab/oaas-go/broker/zenoh/scouting"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// resolutions of sequence numbers, by their names in the configuration.
var resolutions = map[string]wire.Resolution{"": 0, "8bit": 0x08, "16bit": 0x09, "32bit": 0x0a}

// RouterConfig gives the configuration of a router. It reads the files that are named.
func (c *Config) RouterConfig() (router.Config, error) {
	t, err := c.TransportConfig()
	if err != nil {
		return router.Config{}, err
	}
	u := c.Transport.Unicast
	stamps := c.Stamps.Enabled
	config := router.Config{
		Listen:       c.Listen.Endpoints,
		Connect:      c.Connect.Endpoints,
		Backoff:      transport.Backoff{Initial: millis(c.Connect.Retry.Initial), Max: millis(c.Connect.Retry.Max), Factor: c.Connect.Retry.Factor},
		Transport:    t,
		Limits:       router.Limits{Sessions: u.MaxSessions, Handshakes: u.AcceptPending},
		NoTimestamps: stamps != nil && !stamps.Router,
		QueryTimeout: millis(c.QueryTimeout),
		AdminSpace:   c.Admin.Enabled,
		Metadata:     c.Metadata,
		Access:       c.Access,
	}
	if !isFalse(c.Scouting.Multicast.Enabled) {
		s := c.ScoutingConfig()
		config.Scouting = &s
	}
	return config, nil
}

// ScoutingConfig gives how the local network is scouted.
func (c *Config) ScoutingConfig() scouting.Config {
	m := c.Scouting.Multicast
	s := scouting.Config{Group: m.Address, TTL: m.TTL}
	if m.Interface != "" && m.Interface != "auto" {
		s.Interfaces = []string(splitList(m.Interface))
	}
	return s
}

// TransportConfig gives how transports are opened, for all roles.
func (c *Config) TransportConfig() (transport.Config, error) {
	tx, auth, tls := c.Transport.Link.TX, c.Transport.Auth.UserPassword, c.Transport.Link.TLS
	t := transport.Config{
		Lease: millis(tx.Lease), KeepAlives: tx.KeepAlive, BatchSize: uint16(tx.BatchSize), Resolution: resolutions[tx.Resolution],
		NoQoS: isFalse(c.Transport.Unicast.QoS.Enabled), MaxMessageSize: c.Transport.Link.RX.MaxMessageSize,
		OpenTimeout: millis(max(c.Transport.Unicast.OpenTimeout, c.Transport.Unicast.AcceptTimeout)),
		DropAfter:   micros(tx.Queue.Congestion.Drop.Wait), BlockTimeout: micros(tx.Queue.Congestion.Block.Wait),
		User: auth.User, Password: auth.Password,
	}
	var err error
	if c.ID != "" {
		if t.ZID, err = wire.ParseZID(c.ID); err != nil {
			return t, fmt.Errorf("id: %w", err)
		}
	}
	if auth.Dictionary != "" {
		users, err := readUsers(auth.Dictionary)
		if err != nil {
			return t, fmt.Errorf("transport/auth/usrpwd/dictionary_file: %w", err)
		}
		t.PasswordOf = func(user string) (string, bool) {
			password, ok := users[user]
			return password, ok
		}
	}
	t.Link, err = transport.TLSFiles{
		RootCACertificate: tls.RootCA, ListenCertificate: tls.ListenCert, ListenPrivateKey: tls.ListenKey, ConnectCertificate: tls.ConnectCert,
		ConnectPrivateKey: tls.ConnectKey, EnableMTLS: tls.MTLS, SkipNameOnConnect: isFalse(tls.VerifyName), CloseLinkOnExpiration: tls.CloseWhenExpired,
	}.LinkConfig()
	if err != nil {
		return t, fmt.Errorf("transport/link/tls: %w", err)
	}
	return t, nil
}

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }
func micros(n int) time.Duration { return time.Duration(n) * time.Microsecond }
func isFalse(b *bool) bool       { return b != nil && !*b }

// readUsers reads a file with a line user:password for each user.
func readUsers(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	users := map[string]string{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		user, password, ok := strings.Cut(line, ":")
		if !ok || user == "" || password == "" {
			return nil, fmt.Errorf("%s: line %d is not user:password", path, n)
		}
		users[user] = password
	}
	return users, lines.Err()
}
