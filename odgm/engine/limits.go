package engine

import "github.com/hpcclab/oaas-go/api/fault"

const (
	// MaxKey is the longest key in bytes: the limit of the strictest engine, so that all of them take the same keys.
	MaxKey = 32 << 10

	// MaxBatch bounds the bytes of keys and values that one Update may write. Every engine holds a batch in memory until its commit.
	MaxBatch = 1 << 30
)

// CheckWrite tells whether key and value may be added to a batch that already holds batch bytes. The error is a *fault.Error.
func CheckWrite(key, value []byte, batch int) error {
	switch size := len(key) + len(value); {
	case len(key) == 0:
		return fault.New(fault.InvalidArgument, "the key is empty; a key has 1 to %d bytes", MaxKey)
	case len(key) > MaxKey:
		return fault.New(fault.TooLarge, "the key has %d bytes; at most %d are allowed", len(key), MaxKey)
	case size > MaxBatch-batch:
		return fault.New(fault.TooLarge, "the batch would have %d bytes; at most %d are allowed", size+batch, MaxBatch)
	}
	return nil
}

// EmptyRange tells whether no key can be in [from, to). A nil to is no bound.
func EmptyRange(from, to []byte) bool { return to != nil && string(from) >= string(to) }
