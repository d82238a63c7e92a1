package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	a := &authority{cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if a.cert.Raw, err = x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key); err != nil {
		t.Fatal(err)
	}
	return a
}

// elsewhere is the name of a certificate that is not for this machine.
const elsewhere = "elsewhere"

// issue gives the text of a certificate and of its key.
func (a *authority) issue(t testing.TB, name string, life time.Duration) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ips := []net.IP{net.IPv4(127, 0, 0, 1)}
	if name == elsewhere {
		ips = nil
	}
	raw, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(life),
		DNSNames: []string{name}, IPAddresses: ips, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pemText("CERTIFICATE", raw), pemText("PRIVATE KEY", der)
}

func pemText(kind string, b []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
}

// files gives a node that has one certificate for all, as files.
func (a *authority) files(t testing.TB, name string, life time.Duration) TLSFiles {
	t.Helper()
	dir := t.TempDir()
	write := func(file, text string) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key := a.issue(t, name, life)
	f := TLSFiles{RootCACertificate: write("root.pem", pemText("CERTIFICATE", a.cert.Raw)), ListenCertificate: write("cert.pem", cert), ListenPrivateKey: write("key.pem", key)}
	f.ConnectCertificate, f.ConnectPrivateKey = f.ListenCertificate, f.ListenPrivateKey
	return f
}

func linkConfig(t testing.TB, f TLSFiles) LinkConfig {
	t.Helper()
	c, err := f.LinkConfig()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// with changes a copy.
func (f TLSFiles) with(change func(*TLSFiles)) TLSFiles {
	change(&f)
	return f
}

func mutual(f *TLSFiles) { f.EnableMTLS = true }

func TestMutualTLS(t *testing.T) {
	a := newAuthority(t)
	router := Config{Link: linkConfig(t, a.files(t, "router", time.Hour).with(mutual))}
	client := Config{Link: linkConfig(t, a.files(t, "alice", 30*time.Minute).with(mutual))}
	c, r := connect(t, "tls/127.0.0.1:0", client, router)
	if got := r.Peer(); got.CertName != "alice" || got.Protocol != "tls" || time.Until(got.CertEnd) > 30*time.Minute {
		t.Errorf("the router got %+v", got)
	}
	if got := c.Peer(); got.CertName != "router" {
		t.Errorf("the client got %+v", got)
	}
	for _, tr := range []*Transport{c, r} {
		serve(t, tr)
	}
}

// Each side says which certificate is not good, and why.
func TestBadCertificates(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	good := a.files(t, "router", time.Hour)
	anyName := func(f *TLSFiles) { f.SkipNameOnConnect = true }
	stranger := other.files(t, "x", time.Hour).with(mutual)
	stranger.RootCACertificate = good.RootCACertificate
	for _, tt := range []struct {
		name           string
		client, router TLSFiles
		dial, accept   string // patterns of the errors; empty is none
	}{
		{"expired router", good, a.files(t, "router", -time.Hour), `other side, "router" by "test authority", good from .* to .*: .*expired`, "this side.*bad"},
		{"unknown router", other.files(t, "x", time.Hour), good, `other side, "router".*unknown authority`, "this side.*bad"},
		{"another name", good, a.files(t, elsewhere, time.Hour), `other side, "elsewhere".*127.0.0.1`, "this side.*bad"},
		{"any name", good.with(anyName), a.files(t, elsewhere, time.Hour), "", ""},
		{"any name, unknown", other.files(t, "x", time.Hour).with(anyName), good, `other side, "router".*unknown authority`, "this side.*bad"},
		{"no certificate", good, good.with(mutual), "this side.*certificate required", "didn't provide a certificate"},
		{"expired client", a.files(t, "alice", -time.Minute).with(mutual), good.with(mutual), "this side.*(expired|bad)", `other side, "alice".*expired`},
		{"unknown client", stranger, good.with(mutual), "this side.*(unknown|bad)", `other side, "x".*unknown authority`},
	} {
		errC, errR := tlsHandshake(t, tt.client, tt.router)
		check := func(who, want string, err error) {
			if want == "" && err != nil || want != "" && (err == nil || !regexp.MustCompile(want).MatchString(err.Error())) {
				t.Errorf("%s: %s: got %v, want %q", tt.name, who, err, want)
			}
			if err != nil && !strings.Contains(want, "provide") && !errors.Is(err, ErrCertificate) {
				t.Errorf("%s: %s: %v is not %v", tt.name, who, err, ErrCertificate)
			}
		}
		check("dial", tt.dial, errC)
		check("accept", tt.accept, errR)
	}
}

// tlsHandshake opens a transport over TLS, and gives the errors of both sides.
func tlsHandshake(t *testing.T, client, router TLSFiles) (errC, errR error) {
	t.Helper()
	l := listen(t, "tls/127.0.0.1:0", linkConfig(t, router))
	var side sync.WaitGroup
	side.Go(func() {
		link, err := l.Accept()
		if err != nil {
			errR = err
			return
		}
		var tr *Transport
		if tr, errR = Accept(t.Context(), link, Config{WhatAmI: wire.Router}); errR == nil {
			_ = tr.Close(canceled()) // nobody serves it
		}
	})
	tr, errC := Dial(t.Context(), l.Endpoint(), Config{Link: linkConfig(t, client)})
	if side.Wait(); errC == nil {
		_ = tr.Close(canceled())
	}
	return errC, errR
}

// canceled gives a context for closing what nobody serves.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// Over QUIC a listener does not hear of those whose certificates are not good, nor they of it.
func TestBadCertificatesOverQUIC(t *testing.T) {
	a := newAuthority(t)
	good := a.files(t, "router", time.Hour)
	for _, tt := range []struct {
		name           string
		client, router TLSFiles
		want           string
	}{
		{"expired router", good, a.files(t, "router", -time.Hour), `other side, "router" by "test authority".*expired`},
		{"unknown router", newAuthority(t).files(t, "x", time.Hour), good, `other side, "router".*unknown authority`},
		{"no certificate", good, good.with(mutual), "this side.*certificate required"},
		{"expired client", a.files(t, "alice", -time.Minute).with(mutual), good.with(mutual), "this side.*expired"},
	} {
		l := listen(t, "quic/127.0.0.1:0", linkConfig(t, tt.router))
		_, err := Dial(t.Context(), l.Endpoint(), Config{Link: linkConfig(t, tt.client)})
		if !errors.Is(err, ErrCertificate) || !regexp.MustCompile(tt.want).MatchString(err.Error()) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept after close: %v", err)
		}
	}
}

func TestCertificateEnds(t *testing.T) {
	a := newAuthority(t)
	router := a.files(t, "router", time.Hour).with(mutual)
	router.CloseLinkOnExpiration = true
	client := a.files(t, "alice", 2*time.Second).with(mutual) // certificates have whole seconds
	c, r := connect(t, "tls/127.0.0.1:0", Config{Link: linkConfig(t, client)}, Config{Link: linkConfig(t, router)})
	cs, rs := serve(t, c), serve(t, r)
	if err := rs.wait(t); !errors.Is(err, ErrCertificate) || !strings.Contains(err.Error(), `"alice"`) {
		t.Errorf("router: %v", err)
	}
	if _, ok := errors.AsType[*CloseError](cs.wait(t)); !ok {
		t.Errorf("client: %v", c.Err())
	}
}

func TestBadTLSFiles(t *testing.T) {
	good := newAuthority(t).files(t, "router", time.Hour)
	for key, change := range map[string]func(*TLSFiles){
		"root_ca_certificate": func(f *TLSFiles) { f.RootCACertificate = "/nowhere" },
		"no certificate in":   func(f *TLSFiles) { f.RootCACertificate = f.ListenPrivateKey },
		"listen_certificate":  func(f *TLSFiles) { f.ListenCertificate = f.ListenPrivateKey },
		"listen_private_key":  func(f *TLSFiles) { f.ListenPrivateKey = "" },
		"connect_certificate": func(f *TLSFiles) { f.EnableMTLS, f.ConnectCertificate = true, "/nowhere" },
	} {
		if _, err := good.with(change).LinkConfig(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: got %v", key, err)
		}
	}
}
