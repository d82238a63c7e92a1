// Package object holds what an object is: its identity, its entries and versions, and how reads and writes of it are described.
//
// Guarantee: values of these types are plain data; every id and key that has passed NormalizeID or NormalizeKey is safe to store.
package object

import (
	"strconv"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
)

// MaxIDLength is the default limit of object ids and entry keys, in bytes.
const MaxIDLength = 160

// Ref names an object: class ("package.class"), partition and normalised id.
type Ref struct {
	Class     string
	Partition uint32
	ID        string
}

// String gives class/partition/id, as in error messages and call paths.
func (r Ref) String() string {
	return r.Class + "/" + strconv.FormatUint(uint64(r.Partition), 10) + "/" + r.ID
}

// Entry is one value of an object's state.
type Entry struct {
	Key  string
	Data []byte
	Type oprc.ValType
	// Version is the object's version at the write that made this value.
	Version uint64
}

// Meta says what is known of an object without its entries.
type Meta struct {
	ID      string
	Version uint64
	Entries uint64
}

// Object is an object with its triggers (nil: none) and the entries that were asked for, in ascending order of their keys.
type Object struct {
	Meta
	Triggers *oprc.ObjectEvent
	State    []Entry
}

// Expect is the condition of a compare-and-swap. The zero value expects nothing.
type Expect struct {
	// Version, when not nil, must be the object's version; an absent object has version 0.
	Version *uint64
	Absent  bool
	Present bool
}

// Change is a write of one object, applied as a whole or not at all.
type Change struct {
	Puts    []Entry // Version is ignored
	Deletes []string
	// Triggers replaces the object's triggers when not nil.
	Triggers *oprc.ObjectEvent
	Expect   Expect
	// Merge refuses to replace a CRDT value by a different one, as values of that type cannot be merged here.
	Merge bool
	// NoCreate leaves an absent object absent when the change puts nothing.
	NoCreate bool
}

// Page is where a listing starts and how long it is.
type Page struct {
	Prefix string
	// Limit is the most rows wanted; 0 means DefaultLimit, more than MaxLimit means MaxLimit.
	Limit int
	// Cursor is that of the page before; nil starts at the beginning.
	Cursor []byte
}

// Limits of listings.
const (
	DefaultLimit = 100
	MaxLimit     = 1024
)

// Rows gives the number of rows that the page may have.
func (p Page) Rows() int {
	switch {
	case p.Limit <= 0:
		return DefaultLimit
	case p.Limit > MaxLimit:
		return MaxLimit
	}
	return p.Limit
}

// NormalizeID lower-cases an object id (ASCII) and checks it: 1 to 160 characters of a-z 0-9 . _ : -
func NormalizeID(id string) (string, error) {
	normal, why := normalize(id, MaxIDLength)
	switch why {
	case valid:
		return normal, nil
	case empty:
		return "", fault.New(fault.InvalidObjectID, "Invalid object id: empty object id")
	case tooLong:
		return "", fault.New(fault.InvalidObjectID, "Invalid object id: object id too long")
	default:
		return "", fault.New(fault.InvalidObjectID, "Invalid object id: invalid characters in object id")
	}
}

// NormalizeKey lower-cases an entry key (ASCII) and checks it by the same rule as object ids.
func NormalizeKey(key string) (string, error) {
	normal, why := normalize(key, MaxIDLength)
	switch why {
	case valid:
		return normal, nil
	case empty:
		return "", fault.New(fault.InvalidArgument, "entry key cannot be empty")
	case tooLong:
		return "", fault.New(fault.InvalidArgument, "entry key length %d exceeds maximum %d", len(key), MaxIDLength)
	default:
		return "", fault.New(fault.InvalidArgument, "entry key %q contains invalid characters: allowed are a-z 0-9 . _ : -", key)
	}
}

// NormalizePrefix lower-cases the prefix of a listing and checks its characters; the empty prefix is every key.
func NormalizePrefix(prefix string) (string, error) {
	if prefix == "" {
		return "", nil
	}
	normal, why := normalize(prefix, MaxIDLength)
	if why != valid {
		return "", fault.New(fault.InvalidArgument, "prefix %q: allowed are at most %d characters of a-z 0-9 . _ : -", prefix, MaxIDLength)
	}
	return normal, nil
}

type verdict int

const (
	valid verdict = iota
	empty
	tooLong
	badCharacter
)

func normalize(text string, limit int) (string, verdict) {
	if text == "" {
		return "", empty
	}
	if len(text) > limit {
		return "", tooLong
	}
	upper := false
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == ':', c == '-':
		case c >= 'A' && c <= 'Z':
			upper = true
		default:
			return "", badCharacter
		}
	}
	if !upper {
		return text, valid
	}
	lower := []byte(text)
	for i, c := range lower {
		if c >= 'A' && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return string(lower), valid
}
