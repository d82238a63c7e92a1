package zenoh

import (
	"errors"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
)

// Errors of sessions. What a call gives is one of them, with more words around it: compare with errors.Is.
var (
	// ErrSessionClosed is for the use of a session after Close.
	ErrSessionClosed = errors.New("session closed")
	// ErrNotConnected is for what finds no connection, and may not or did not want to wait for one.
	ErrNotConnected = errors.New("not connected")
	// ErrSessionLost is for a get whose connection was lost before all replies were there.
	ErrSessionLost = errors.New("connection lost")
	// ErrTimeout is for a get that was not answered in time.
	ErrTimeout = errors.New("timeout")
	// ErrUndeclared is for the use of a publisher, querier or the like after it was undeclared.
	ErrUndeclared = errors.New("undeclared")
	// ErrQueryEnded is for a reply to a query that was dropped.
	ErrQueryEnded = errors.New("query ended")
	// ErrKeyMismatch is for a reply under a key that the query does not ask for.
	ErrKeyMismatch = errors.New("key does not match the query")
	// ErrOverflow is for a get whose replies came faster than they were read, or were more than a session holds.
	ErrOverflow = errors.New("too many replies")
	// ErrInvalidConfig is for a configuration that means nothing.
	ErrInvalidConfig = errors.New("invalid configuration")
	// ErrTooMany is for more declarations than a session takes, of its own or of one of its peers.
	ErrTooMany = errors.New("too many declarations")

	// ErrCongested is for a message that was dropped because its link is slower than its senders.
	ErrCongested = transport.ErrCongested
	// ErrUnresponsive is for a link that did not take a message in time that must not be dropped, and was closed.
	ErrUnresponsive = transport.ErrUnresponsive
	// ErrAuth is for user and password that the other side does not take.
	ErrAuth = transport.ErrAuth
)

// ReplyError is the error in place of a reply: one that a queryable or router sent, or one of this session. Errors of the session are told
// apart with errors.Is: ErrTimeout, ErrSessionLost, ErrSessionClosed, ErrOverflow, or the error of the context.
type ReplyError struct {
	payload  []byte
	encoding Encoding
	cause    error
}

// Payload gives what was sent, or the words of the session.
func (e *ReplyError) Payload() ZBytes { return e.payload }

// Encoding says what the payload is.
func (e *ReplyError) Encoding() Encoding { return e.encoding }

// Error gives the first 256 bytes of the payload as text.
func (e *ReplyError) Error() string {
	if e.cause != nil {
		return "get: " + e.cause.Error()
	}
	return "get: error reply: " + string(e.payload[:min(len(e.payload), 256)])
}

// Unwrap gives the error of the session, or nil for one that was sent.
func (e *ReplyError) Unwrap() error { return e.cause }

// timeoutText is what the protocol has for time that ran out.
const timeoutText = "Timeout"

// ownError is a reply with an error of this session.
func ownError(err error) Reply {
	text := err.Error()
	if errors.Is(err, ErrTimeout) {
		text = timeoutText
	}
	return Reply{err: &ReplyError{payload: []byte(text), encoding: EncodingZenohString, cause: err}}
}
