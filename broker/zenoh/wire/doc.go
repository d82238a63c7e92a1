// Package wire is the codec of the Zenoh 1.x protocol, version byte 0x09: it turns the messages of transports, of the network above them and of
// scouting into bytes and back. It knows no sockets, sessions or routes.
//
// Guarantees: decoding never panics and never reads behind its input; byte strings of a decoded message alias the input and the message itself
// is memory of the Decoder, so decoding a Push costs no allocation; what a message does allocate (lists) is bounded by the bytes that it had on
// the wire. Unknown mandatory extensions are refused, unknown optional ones are skipped, and those of the bodies that a router hands on are kept.
// Errors are *DecodeError or *EncodeError around the sentinel that says why. Encoding appends to a slice of the caller's and allocates only when
// that is too small.
//
// # Absence
//
// The zero value of a field is what the protocol means by leaving it out: default quality of service, no timestamp, no encoding but zenoh/bytes.
// For byte strings nil is absent, and empty but not nil is present.
package wire

// Version is the protocol version that this package speaks.
const Version = 0x09

// MaxBatchSize is the largest size of a batch, with its length prefix on streams.
const MaxBatchSize = 65535

// Ids of transport messages, in the low five bits of the header.
const (
	idTransportOAM = 0x00
	idInit         = 0x01
	idOpen         = 0x02
	idClose        = 0x03
	idKeepAlive    = 0x04
	idFrame        = 0x05
	idFragment     = 0x06
	idJoin         = 0x07
)

// Ids of network messages. They are disjoint from those of transport messages, which is how the end of a frame is seen.
const (
	idInterest      = 0x19
	idResponseFinal = 0x1a
	idResponse      = 0x1b
	idRequest       = 0x1c
	idPush          = 0x1d
	idDeclare       = 0x1e
	idOAM           = 0x1f
)

// Ids of the bodies of Push, Request and Response.
const (
	idPut   = 0x01
	idDel   = 0x02
	idQuery = 0x03
	idReply = 0x04
	idErr   = 0x05
)

// Ids of scouting messages.
const (
	idScout = 0x01
	idHello = 0x02
)

// Bits of a message header.
const (
	maskID = 0x1f
	flag5  = 0x20 // A, R, N, T, C, I or S, by message
	flag6  = 0x40 // S, T, M, E or P, by message
	flagZ  = 0x80 // a chain of extensions follows
)

// Message is one message of any layer.
type Message interface {
	// AppendBinary appends the encoded message to b. The error is an *EncodeError; b is then given back as it was.
	AppendBinary(b []byte) ([]byte, error)
}

// Network is a message of the network layer, which travels in frames.
type Network interface {
	Message
	network()
}

func (*Push) network()          {}
func (*Request) network()       {}
func (*Response) network()      {}
func (*ResponseFinal) network() {}
func (*Declare) network()       {}
func (*Interest) network()      {}
func (*OAM) network()           {}
