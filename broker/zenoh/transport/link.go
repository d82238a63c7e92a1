package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// prefix is the length before a batch on a stream. Batches are built with room for it in front.
const prefix = 2

// Link carries batches. One goroutine reads and one writes.
type Link interface {
	// ReadBatch gives the next batch, on memory that is good until the next call. It fails with os.ErrDeadlineExceeded at the deadline, if that
	// is not zero.
	ReadBatch(deadline time.Time) ([]byte, error)
	// WriteBatch writes a batch in front of which there are two bytes that the link may fill.
	WriteBatch(b []byte) error
	// Close ends reading and writing. It may be called at any time, and again.
	Close() error
	// Info tells what is known of the link. What is in a certificate is known once a batch has been read.
	Info() LinkInfo
}

// LinkInfo is what access control and people want to know of a link.
type LinkInfo struct {
	Protocol string // for example tls
	Local    string // locator of this side, such as tcp/127.0.0.1:7447
	Remote   string // locator of the other side
	MTU      int    // largest batch, without the prefix; 0 is any

	CertName string    // common name in the certificate that the other side proved to own
	CertEnd  time.Time // when that certificate ends; zero without one
}

// Listener accepts links.
type Listener interface {
	// Accept waits for the next link. What goes wrong with one link is its own error, later; an error of Accept is the end, and after Close it is
	// net.ErrClosed.
	Accept() (Link, error)
	// Close ends listening, and Accept. Links that were accepted live on, but for udp and quic, whose links share the socket of the listener.
	Close() error
	// Endpoint gives the locator with the port that was chosen where 0 was asked for.
	Endpoint() string
}

// LinkConfig says how links are made. Its zero value is enough for all protocols but these.
type LinkConfig struct {
	DialTLS   *tls.Config // for tls and quic, when dialling; nil trusts what the system trusts
	ListenTLS *tls.Config // the same, when listening, which needs a certificate

	CloseOnExpiration bool // end a transport when the certificate of its peer does
	HalfOpen          int  // peers of a udp listener, and links of a ws listener that nobody accepted, above which there are no new ones; 100
}

// protocol is one way to make links.
type protocol struct {
	dial   func(ctx context.Context, e Endpoint, c LinkConfig) (Link, error)
	listen func(ctx context.Context, e Endpoint, c LinkConfig) (Listener, error)
}

var protocols = map[string]protocol{
	"inproc":          {dialInproc, listenInproc},
	"quic":            {dialQUIC, listenQUIC},
	"tcp":             {dialStream, listenStream},
	"tls":             {dialTLS, listenTLS},
	"udp":             {dialUDP, listenUDP},
	"unixsock-stream": {dialStream, listenStream},
	"ws":              {dialWS, listenWS},
}

// Protocols gives the names of the protocols of links, in order.
func Protocols() []string { return slices.Sorted(maps.Keys(protocols)) }

// protocolOf parses an endpoint and finds its protocol.
func protocolOf(endpoint string) (Endpoint, protocol, error) {
	e, err := ParseEndpoint(endpoint)
	if err != nil {
		return Endpoint{}, protocol{}, err
	}
	p, ok := protocols[e.Protocol]
	if !ok {
		return Endpoint{}, protocol{}, fmt.Errorf("%w: protocol %q, not one of %s", errors.ErrUnsupported, e.Protocol, strings.Join(Protocols(), ", "))
	}
	return e, p, nil
}

// DialLink connects to an endpoint such as tcp/localhost:7447, tls/router:7447, udp/10.0.0.1:7447, ws/router:7448,
// unixsock-stream//run/zenoh.sock or inproc/router. Errors name the endpoint.
func DialLink(ctx context.Context, endpoint string, c LinkConfig) (Link, error) {
	e, p, err := protocolOf(endpoint)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", endpoint, err)
	}
	link, err := p.dial(ctx, e, c)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", endpoint, err)
	}
	return link, nil
}

// ListenLink listens on an endpoint: the same as for DialLink, and also tcp/[::]:0, for instance, with a port that the system chooses. The
// context is that of setting it up; Close ends it.
func ListenLink(ctx context.Context, endpoint string, c LinkConfig) (Listener, error) {
	e, p, err := protocolOf(endpoint)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", endpoint, err)
	}
	l, err := p.listen(ctx, e, c)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", endpoint, err)
	}
	return l, nil
}
