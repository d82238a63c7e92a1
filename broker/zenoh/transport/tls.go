package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// ErrCertificate is for a certificate that is not good: of the other side, or of this one as the other side says.
var ErrCertificate = errors.New("bad certificate")

// TLSFiles is how Zenoh's configuration, under transport/link/tls, says what links of tls need. What is named in it is a file, or the text of
// one that begins with -----BEGIN.
type TLSFiles struct {
	RootCACertificate     string // root_ca_certificate: authorities that this side trusts; empty is those of the system
	ListenCertificate     string // listen_certificate
	ListenPrivateKey      string // listen_private_key
	ConnectCertificate    string // connect_certificate: what a dialler shows, if EnableMTLS is set
	ConnectPrivateKey     string // connect_private_key
	EnableMTLS            bool   // enable_mtls: diallers show a certificate, and listeners want one
	SkipNameOnConnect     bool   // the opposite of verify_name_on_connect: a dialler takes any name, of a certificate that it trusts
	CloseLinkOnExpiration bool   // close_link_on_expiration
}

// LinkConfig reads the files. The error names the key and the file.
func (f TLSFiles) LinkConfig() (LinkConfig, error) {
	c := LinkConfig{CloseOnExpiration: f.CloseLinkOnExpiration}
	roots, err := f.roots()
	if err != nil {
		return c, err
	}
	c.DialTLS = &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots}
	if f.SkipNameOnConnect {
		c.DialTLS.InsecureSkipVerify = true // replaced by all of it but the name
		c.DialTLS.VerifyConnection = verifyChain(roots)
	}
	if f.EnableMTLS {
		if c.DialTLS.Certificates, err = certificate("connect", f.ConnectCertificate, f.ConnectPrivateKey); err != nil {
			return c, err
		}
	}
	listen, err := certificate("listen", f.ListenCertificate, f.ListenPrivateKey)
	if err != nil || listen == nil {
		return c, err
	}
	c.ListenTLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: listen}
	if f.EnableMTLS {
		c.ListenTLS.ClientAuth, c.ListenTLS.ClientCAs = tls.RequireAndVerifyClientCert, roots
	}
	return c, nil
}

// roots gives the authorities, or nil for those of the system.
func (f TLSFiles) roots() (*x509.CertPool, error) {
	if f.RootCACertificate == "" {
		return nil, nil
	}
	text, err := pemOf(f.RootCACertificate)
	if err != nil {
		return nil, fmt.Errorf("root_ca_certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("root_ca_certificate: %w: no certificate in %.200q", ErrCertificate, f.RootCACertificate)
	}
	return pool, nil
}

// certificate reads a certificate and its key, or gives nil if neither is named.
func certificate(use, file, keyFile string) ([]tls.Certificate, error) {
	if file == "" && keyFile == "" {
		return nil, nil
	}
	text, err := pemOf(file)
	if err != nil {
		return nil, fmt.Errorf("%s_certificate: %w", use, err)
	}
	key, err := pemOf(keyFile)
	if err != nil {
		return nil, fmt.Errorf("%s_private_key: %w", use, err)
	}
	pair, err := tls.X509KeyPair(text, key)
	if err != nil {
		return nil, fmt.Errorf("%s_certificate: %w %.200q: %w", use, ErrCertificate, file, err)
	}
	return []tls.Certificate{pair}, nil
}

func pemOf(s string) ([]byte, error) {
	if strings.HasPrefix(s, "-----BEGIN") {
		return []byte(s), nil
	}
	return os.ReadFile(s)
}

// verifyChain checks a certificate as a dialler does, but for its name.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, c := range state.PeerCertificates[1:] {
			between.AddCert(c)
		}
		if _, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		return nil
	}
}

// tlsLink is a stream within TLS. The handshake of one that was accepted happens at the first read, so that none holds up the others.
type tlsLink struct {
	*streamLink
	conn *tls.Conn
}

func newTLSLink(conn *tls.Conn) *tlsLink {
	return &tlsLink{streamLink: newStreamLink(conn, "tls"), conn: conn}
}

// dialTLSConfig gives the configuration for an endpoint, whose host is the name that the certificate must have.
func dialTLSConfig(e Endpoint, c LinkConfig) (*tls.Config, error) {
	config := &tls.Config{}
	if c.DialTLS != nil {
		config = c.DialTLS.Clone()
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS13)
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(e.Address)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrEndpoint, err)
		}
		config.ServerName = host
	}
	return config, nil
}

func listenTLSConfig(protocol string, c LinkConfig) (*tls.Config, error) {
	if c.ListenTLS == nil {
		return nil, fmt.Errorf("%w: %s needs a certificate to listen", ErrCertificate, protocol)
	}
	config := c.ListenTLS.Clone()
	config.MinVersion = max(config.MinVersion, tls.VersionTLS13)
	return config, nil
}

func dialTLS(ctx context.Context, e Endpoint, c LinkConfig) (Link, error) {
	config, err := dialTLSConfig(e, c)
	if err != nil {
		return nil, err
	}
	plain, err := dialConn(ctx, e)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = plain.Close() // the handshake is what failed
		return nil, certificateError(err)
	}
	return newTLSLink(conn), nil
}

// tlsListener is a stream listener whose connections begin with the handshake of TLS.
type tlsListener struct {
	*streamListener
	config *tls.Config
}

func listenTLS(ctx context.Context, e Endpoint, c LinkConfig) (Listener, error) {
	config, err := listenTLSConfig("tls", c)
	if err != nil {
		return nil, err
	}
	l, err := listenConn(ctx, e)
	if err != nil {
		return nil, err
	}
	return &tlsListener{streamListener: &streamListener{Listener: l, protocol: "tls"}, config: config}, nil
}

func (l *tlsListener) Accept() (Link, error) {
	conn, err := l.accept()
	if err != nil {
		return nil, err
	}
	return newTLSLink(tls.Server(conn, l.config)), nil
}

func (l *tlsLink) ReadBatch(deadline time.Time) ([]byte, error) {
	b, err := l.streamLink.ReadBatch(deadline)
	if err != nil {
		return nil, certificateError(err)
	}
	return b, nil
}

// Info implements Link.
func (l *tlsLink) Info() LinkInfo {
	return withCertificates(l.info, l.conn.ConnectionState().PeerCertificates)
}

// withCertificates adds what the other side showed: all of it has to be good for as long as the link is.
func withCertificates(info LinkInfo, chain []*x509.Certificate) LinkInfo {
	for i, c := range chain {
		if i == 0 {
			info.CertName, info.CertEnd = c.Subject.CommonName, c.NotAfter
		}
		if c.NotAfter.Before(info.CertEnd) {
			info.CertEnd = c.NotAfter
		}
	}
	return info
}

// Close says goodbye to TLS, but not to a link that takes nothing.
func (l *tlsLink) Close() error {
	timer := time.AfterFunc(goodbyeTime, func() { _ = l.conn.NetConn().Close() })
	defer timer.Stop()
	if err := l.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close link: %w", err)
	}
	return nil
}

// certificateError makes the error say which certificate is not good, and why.
func certificateError(err error) error {
	if wrong, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(wrong.UnverifiedCertificates) > 0 {
		c := wrong.UnverifiedCertificates[0]
		return fmt.Errorf("%w of the other side, %q by %q, good from %s to %s: %w", ErrCertificate, c.Subject.CommonName, c.Issuer.CommonName,
			c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), wrong.Err)
	}
	// The alerts of package tls have no type of their own to ask for.
	remote, ok := errors.AsType[*net.OpError](err)
	if ok && remote.Op == "remote error" && strings.Contains(remote.Error(), "certificate") || quicCertificateError(err) {
		return fmt.Errorf("%w of this side, as the other side says: %w", ErrCertificate, err)
	}
	return err
}
