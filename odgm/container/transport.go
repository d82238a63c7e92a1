package container

import (
	"net/http"
	"time"
)

// NewTransport makes a transport that speaks HTTP/2 and nothing else, over TCP for http URLs, as gRPC does. All calls to a host share a connection as
// long as it takes more; one that no longer answers pings is given up.
func NewTransport() *http.Transport {
	t := &http.Transport{
		Protocols: new(http.Protocols), DisableCompression: true, IdleConnTimeout: time.Minute,
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 10 * time.Second},
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	t.Protocols.SetHTTP2(true)
	return t
}
