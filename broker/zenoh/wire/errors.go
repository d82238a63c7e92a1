package wire

import (
	"errors"
	"fmt"
)

// Reasons for which bytes are not a message, or a message cannot be bytes.
var (
	// ErrTruncated is for input that ends, or an extension that ends, in the middle of a field.
	ErrTruncated = errors.New("truncated")
	// ErrBound is for a number or length that is larger than the protocol allows.
	ErrBound = errors.New("value out of bounds")
	// ErrUnknownMessage is for the id of no message, or of one that may not stand there.
	ErrUnknownMessage = errors.New("unknown message")
	// ErrMandatoryExtension is for an extension that one must know to understand the message.
	ErrMandatoryExtension = errors.New("unknown mandatory extension")
	// ErrMalformed is for reserved encodings, and for values that mean nothing.
	ErrMalformed = errors.New("malformed")
	// ErrUTF8 is for text that is not UTF-8.
	ErrUTF8 = errors.New("invalid UTF-8")
	// ErrZID is for a Zenoh id that is zero or has more than 16 bytes.
	ErrZID = errors.New("invalid zenoh id")
	// ErrVersion is for a message of another version of the protocol.
	ErrVersion = errors.New("unsupported protocol version")
	// ErrTrailing is for bytes behind what should be the end.
	ErrTrailing = errors.New("trailing bytes")
)

// DecodeError tells which message at which byte of the input could not be read. Err is one of the reasons above.
type DecodeError struct {
	Message string // for example "push" or "push: put"; empty when the header is not that of any message
	Offset  int
	Err     error
}

// Error gives the reason with the place.
func (e *DecodeError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("decode at byte %d: %v", e.Offset, e.Err)
	}
	return fmt.Sprintf("decode %s at byte %d: %v", e.Message, e.Offset, e.Err)
}

// Unwrap gives the reason.
func (e *DecodeError) Unwrap() error { return e.Err }

// EncodeError tells which field of a message has no form on the wire. Err is one of the reasons above.
type EncodeError struct {
	Message string
	Field   string
	Err     error
}

// Error gives the reason with the field.
func (e *EncodeError) Error() string {
	return fmt.Sprintf("encode %s: %s: %v", e.Message, e.Field, e.Err)
}

// Unwrap gives the reason.
func (e *EncodeError) Unwrap() error { return e.Err }
