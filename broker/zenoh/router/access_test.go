package router

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// denying gives access control that denies alice some messages on some keys, and allows everything else.
func denying(flow, key string, messages ...string) *Access {
	return &Access{
		Enabled: true, Default: "allow",
		Rules:    []Rule{{ID: "r", Permission: "deny", Messages: messages, Flows: []string{flow}, KeyExprs: []string{key}}},
		Subjects: []Subject{{ID: "alice", Users: []string{"alice"}}},
		Policies: []Policy{{Rules: []string{"r"}, Subjects: []string{"alice"}}},
	}
}

func TestAccess(t *testing.T) {
	all := wire.InterestSubscribers | wire.InterestQueryables | wire.InterestTokens
	for _, c := range []struct {
		name   string
		access *Access
		run    func(t *testing.T, alice, bob *client)
	}{
		{"put from", denying("ingress", "s/**", "put"), func(t *testing.T, alice, bob *client) {
			bob.say(sub(1, "**"))
			bob.sync()
			alice.say(putOf("s/a", "no"), &wire.Push{Key: wire.Key("s/a"), QoS: wire.QoSDeclare, Data: wire.Data{Delete: true}}, putOf("t", "yes"))
			bob.hears("del s/a", "put t yes")
		}},
		{"delete to", denying("egress", "s/**", "delete"), func(t *testing.T, alice, bob *client) {
			alice.say(sub(1, "**"))
			alice.sync()
			bob.say(&wire.Push{Key: wire.Key("s/a"), QoS: wire.QoSDeclare, Data: wire.Data{Delete: true}}, putOf("s/a", "yes"))
			alice.hears("put s/a yes")
		}},
		{"subscriber of", denying("ingress", "s/**", "declare_subscriber"), func(t *testing.T, alice, bob *client) {
			alice.say(sub(1, "s/**"), sub(2, "t"), undeclare(wire.UndeclareSubscriber, 1))
			alice.sync()
			bob.say(putOf("s/a", "no"), putOf("t", "yes"))
			alice.hears("put t yes")
		}},
		{"query from", denying("ingress", "s/**", "query"), func(t *testing.T, alice, bob *client) {
			bob.say(complete(1, "**"))
			bob.sync()
			alice.say(get(1, "s/a", wire.BestMatching))
			alice.hears("final 1")
			bob.sync()
		}},
		{"query to", denying("egress", "s/**", "query"), func(t *testing.T, alice, bob *client) {
			alice.say(complete(1, "**"))
			alice.sync()
			bob.say(get(1, "s/a", wire.BestMatching), get(2, "t", wire.BestMatching))
			alice.hears("request 1 t")
			bob.hears("final 1")
		}},
		{"reply from", denying("ingress", "s/**", "reply"), func(t *testing.T, alice, bob *client) {
			alice.say(complete(1, "**"))
			alice.sync()
			bob.say(get(1, "s/a", wire.BestMatching))
			alice.hears("request 1 s/a")
			alice.say(replyOf(1, "s/a", "no"), replyOf(1, "t", "yes"), final(1))
			bob.hears("reply 1 t yes", "final 1")
		}},
		{"queryable of", denying("ingress", "s/**", "declare_queryable"), func(t *testing.T, alice, bob *client) {
			alice.say(complete(1, "s/**"))
			alice.sync()
			bob.say(get(1, "s/a", wire.BestMatching))
			bob.hears("final 1")
		}},
		{"token of", denying("ingress", "s/**", "liveliness_token"), func(t *testing.T, alice, bob *client) {
			alice.say(token(1, "s/a"), token(2, "t"))
			alice.sync()
			bob.say(interestIn(1, wire.InterestCurrent, all, ""))
			bob.hears("answer 1: token 1 t", "answer 1: final")
		}},
		{"query of tokens by", denying("ingress", "s/**", "liveliness_query"), func(t *testing.T, alice, bob *client) {
			bob.say(token(1, "s/a"))
			bob.sync()
			alice.say(interestIn(1, wire.InterestCurrent, all, "s/**"))
			alice.hears("answer 1: final")
			alice.say(interestIn(2, wire.InterestCurrentFuture, all, "s/**"))
			alice.hears("answer 2: token 1 s/a", "answer 2: final")
		}},
		{"watch of tokens by", denying("ingress", "s/**", "declare_liveliness_subscriber"), func(t *testing.T, alice, bob *client) {
			alice.say(interestIn(1, wire.InterestCurrentFuture, all, "s/**"))
			alice.hears("answer 1: final")
			bob.say(token(1, "s/a"), sub(1, "s/a"))
			alice.hears("sub 1 s/a")
		}},
		{"declarations to", denying("egress", "s/**", "declare_subscriber", "liveliness_token"), func(t *testing.T, alice, bob *client) {
			alice.say(interestIn(1, wire.InterestCurrentFuture, all, ""))
			alice.hears("answer 1: final")
			bob.say(sub(1, "s/a"), token(1, "s/b"), qabl(1, "s/c"), sub(2, "t"))
			alice.hears("qabl 1 s/c", "sub 2 t")
		}},
		{"only what is allowed", &Access{
			Enabled: true, Default: "deny",
			Rules: []Rule{
				{ID: "yes", Permission: "allow", Messages: []string{"put", "declare_subscriber"}, KeyExprs: []string{"s/**", "**"}},
				{ID: "no", Permission: "deny", Messages: []string{"put"}, KeyExprs: []string{"s/secret/**"}},
			},
			Subjects: []Subject{{ID: "all"}},
			Policies: []Policy{{Rules: []string{"yes", "no"}, Subjects: []string{"all"}}},
		}, func(t *testing.T, alice, bob *client) {
			bob.say(sub(1, "s/**"), complete(1, "s/**"))
			bob.sync()
			alice.say(putOf("s/secret/x", "no"), putOf("s/x", "yes"), get(1, "s/x", wire.All))
			bob.hears("put s/x yes")
			alice.hears("final 1")
		}},
		{"nothing without a policy", &Access{Enabled: true, Subjects: []Subject{{ID: "x", ZIDs: []string{"1"}, Interfaces: []string{"none0"}}}},
			func(t *testing.T, alice, bob *client) {
				bob.say(sub(1, "**"))
				bob.sync()
				alice.say(putOf("s/x", "no"))
				alice.sync()
				bob.sync()
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, Config{Access: c.access, Transport: transport.Config{PasswordOf: func(u string) (string, bool) { return "p", true }}})
			c.run(t, dial(t, r, transport.Config{User: "alice", Password: "p"}), dial(t, r, transport.Config{User: "bob", Password: "p"}))
		})
	}
}

func TestAccessIsValidated(t *testing.T) {
	rule := Rule{ID: "r", Permission: "allow", Messages: []string{"put"}, KeyExprs: []string{"**"}}
	with := func(change func(*Rule)) Access {
		r := rule
		change(&r)
		return Access{Rules: []Rule{r}}
	}
	for want, a := range map[string]Access{
		"default_permission": {Default: "maybe"},
		"permission":         with(func(r *Rule) { r.Permission = "x" }),
		"messages":           with(func(r *Rule) { r.Messages = []string{"shout"} }),
		"flows":              with(func(r *Rule) { r.Flows = []string{"up"} }),
		"key_exprs":          with(func(r *Rule) { r.KeyExprs = []string{"a//b"} }),
		"id":                 with(func(r *Rule) { r.ID = "" }),
		"no rule":            {Policies: []Policy{{Rules: []string{"r"}}}},
		"no subject":         {Policies: []Policy{{Subjects: []string{"s"}}}},
	} {
		if _, err := Open(t.Context(), Config{Access: &a}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %s, got %v", want, err)
		}
	}
}

func TestRow17CertificateNames(t *testing.T) {
	ca := newAuthority(t)
	links := func(name string) transport.LinkConfig {
		cert, key := ca.issue(t, name)
		c, err := transport.TLSFiles{
			RootCACertificate: ca.pem, ListenCertificate: cert, ListenPrivateKey: key, ConnectCertificate: cert, ConnectPrivateKey: key, EnableMTLS: true,
		}.LinkConfig()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	access := denying("ingress", "s/**", "put")
	access.Subjects = []Subject{{ID: "alice", CertNames: []string{"device-1"}, LinkProtocols: []string{"tls"}}}
	var log logged
	r := start(t, Config{
		Listen: []string{"tls/127.0.0.1:0"}, Transport: transport.Config{Link: links("router")}, Access: access, Logger: logTo(&log),
	})
	alice := dial(t, r, transport.Config{Link: links("device-1")})
	bob := dial(t, r, transport.Config{Link: links("device-2")})
	bob.say(sub(1, "**"))
	bob.sync()
	alice.say(putOf("s/a", "no"), putOf("t", "yes"))
	bob.hears("put t yes")
	alice.say(sub(1, "**"))
	alice.sync()
	bob.say(putOf("s/a", "yes"))
	alice.hears("put s/a yes")
	if !strings.Contains(log.String(), "certificate=device-1") {
		t.Errorf("log %s", log.String())
	}
}

// authority signs certificates for 127.0.0.1.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	a.key = newKey(t)
	raw, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) issue(t *testing.T, name string) (cert, key string) {
	private := newKey(t)
	raw, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}
