package shard

import (
	"bytes"
	"encoding/binary"
)

// Every record of a shard lives in one ordered key space; the first byte says what it is. Ids, entry keys and method names have no zero
// byte, so a zero ends them.
const (
	tagCounters   = 'c' // → record.Counters
	tagConfig     = 'C' // → record.ClassConfig
	tagTombstone  = 'd' // id → record.Tombstone
	tagEntry      = 'e' // id 0 key → record.Entry
	tagChangeLog  = 'H' // → record.ChangeLog
	tagChange     = 'h' // seq of the last one → record.Changes
	tagInvocation = 'i' // id → record.Invocation
	tagDead       = 'l' // seq → record.Event
	tagMeta       = 'm' // id → record.Meta
	tagOutbox     = 'o' // group 0 seq → record.Event
	tagPending    = 'p' // invocation id → nothing
	tagResult     = 'r' // id 0 method 0 idempotency key → record.StoredResult
	tagTriggers   = 't' // id → oprc.ObjectEvent
	tagExpiry     = 'x' // time, key of the record that expires → nothing
)

var (
	countersKey = []byte{tagCounters}
	configKey   = []byte{tagConfig}

	changeLogKey = []byte{tagChangeLog}
)

func metaKey(id string) []byte       { return taggedKey(tagMeta, id) }
func tombstoneKey(id string) []byte  { return taggedKey(tagTombstone, id) }
func triggersKey(id string) []byte   { return taggedKey(tagTriggers, id) }
func invocationKey(id string) []byte { return taggedKey(tagInvocation, id) }
func pendingKey(id string) []byte    { return taggedKey(tagPending, id) }

// entryPrefix is what the keys of an object's entries begin with.
func entryPrefix(id string) []byte {
	key := make([]byte, 0, len(id)+2)
	key = append(key, tagEntry)
	key = append(key, id...)
	return append(key, 0)
}

func entryKey(id, key string) []byte {
	k := make([]byte, 0, len(id)+len(key)+2)
	k = append(k, tagEntry)
	k = append(k, id...)
	k = append(k, 0)
	return append(k, key...)
}

func resultKey(id, method, idempotencyKey string) []byte {
	k := make([]byte, 0, len(id)+len(method)+len(idempotencyKey)+3)
	k = append(k, tagResult)
	k = append(k, id...)
	k = append(k, 0)
	k = append(k, method...)
	k = append(k, 0)
	return append(k, idempotencyKey...)
}

// groupPrefix is what the keys of a group's events begin with.
func groupPrefix(group string) []byte {
	k := make([]byte, 0, len(group)+10)
	k = append(k, tagOutbox)
	k = append(k, group...)
	return append(k, 0)
}

func outboxKey(group string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(groupPrefix(group), seq)
}

// groupOf gives the group in an outbox key.
func groupOf(key []byte) string {
	return string(key[1 : len(key)-9])
}

func deadKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{tagDead}, seq)
}

func changeKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 9), tagChange), seq)
}

func expiryKey(at int64, record []byte) []byte {
	k := make([]byte, 0, len(record)+9)
	k = append(k, tagExpiry)
	k = binary.BigEndian.AppendUint64(k, uint64(max(at, 0)))
	return append(k, record...)
}

func taggedKey(tag byte, text string) []byte {
	k := make([]byte, 0, len(text)+1)
	k = append(k, tag)
	return append(k, text...)
}

// after gives the smallest key that is greater than every key beginning with prefix. The tag byte is below 0xff, so there always is one.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}
