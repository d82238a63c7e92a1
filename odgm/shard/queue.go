package shard

import (
	"encoding/binary"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// ack removes delivered events from the outbox. An event that is not there was acknowledged before.
func (m *Machine) ack(tx engine.Tx, ack *record.Ack) (Result, error) {
	count := 0
	for _, ref := range ack.GetEvents() {
		key := outboxKey(ref.GetGroup(), ref.GetSeq())
		_, found, err := tx.Get(key)
		if err != nil {
			return Result{}, err
		}
		if !found {
			continue
		}
		if err := tx.Delete(key); err != nil {
			return Result{}, err
		}
		count++
	}
	if count == 0 {
		return Result{}, nil
	}
	return Result{Count: count}, m.updateCounters(tx, func(c *record.Counters) { c.Outbox -= uint64(count) })
}

// bury moves an event from the outbox to the dead-letter list.
func (m *Machine) bury(tx engine.Tx, now int64, bury *record.Bury) (Result, error) {
	key := outboxKey(bury.GetEvent().GetGroup(), bury.GetEvent().GetSeq())
	ev := &record.Event{}
	found, err := load(tx, key, ev)
	if err != nil || !found {
		return Result{}, err
	}
	ev.Reason, ev.Attempts, ev.DeadTime = bury.GetReason(), bury.GetAttempts(), now
	if err := store(tx, deadKey(ev.GetSeq()), ev); err != nil {
		return Result{}, err
	}
	if err := tx.Delete(key); err != nil {
		return Result{}, err
	}
	return Result{Count: 1}, m.updateCounters(tx, func(c *record.Counters) {
		c.Outbox--
		c.DeadLetters++
	})
}

// replayBatch bounds the dead letters that one command moves; the shard repeats the command until all are done.
const replayBatch = 256

// replay moves dead letters back to the end of the outbox, with a new number and the old id, or drops them.
func (m *Machine) replay(tx engine.Tx, replay *record.Replay) (Result, error) {
	events, err := m.deadLetters(tx, replay)
	if err != nil || len(events) == 0 {
		return Result{}, err
	}
	counters := &record.Counters{}
	if _, err := load(tx, countersKey, counters); err != nil {
		return Result{}, err
	}
	for _, ev := range events {
		if err := tx.Delete(deadKey(ev.GetSeq())); err != nil {
			return Result{}, err
		}
		counters.DeadLetters--
		if replay.GetDrop() {
			continue
		}
		counters.Seq++
		counters.Outbox++
		ev.Seq, ev.Reason, ev.DeadTime, ev.Attempts = counters.GetSeq(), "", 0, 0
		group := Group(ev.GetTarget())
		if err := store(tx, outboxKey(group, ev.GetSeq()), ev); err != nil {
			return Result{}, err
		}
		m.groups[group] = struct{}{}
	}
	return Result{Count: len(events)}, store(tx, countersKey, counters)
}

// deadLetters gives the dead letters that a replay means; a named one that is not there is an error, and nothing is done then. With all set
// it gives the first ones, in order, that were there when the replay began: up to the greatest of seqs, if any is named.
func (m *Machine) deadLetters(tx engine.Tx, replay *record.Replay) ([]*record.Event, error) {
	if replay.GetAll() {
		end := after([]byte{tagDead})
		if last := replay.GetSeqs(); len(last) > 0 {
			end = append(deadKey(last[0]), 0)
		}
		var events []*record.Event
		err := scanRecords(tx, []byte{tagDead}, end, func(_ []byte, ev *record.Event) bool {
			events = append(events, ev)
			return len(events) < replayBatch
		})
		return events, err
	}
	events := make([]*record.Event, 0, len(replay.GetSeqs()))
	seen := map[uint64]bool{}
	for _, seq := range replay.GetSeqs() {
		if seen[seq] {
			continue
		}
		seen[seq] = true
		ev := &record.Event{}
		found, err := load(tx, deadKey(seq), ev)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fault.New(fault.NotFound, "no dead letter %d in %s partition %d; nothing was moved", seq, m.class, m.partition)
		}
		events = append(events, ev)
	}
	return events, nil
}

// storeExpiring writes a record that expire removes when its time has come.
func (m *Machine) storeExpiring(tx engine.Tx, key []byte, message proto.Message, expires int64) error {
	if err := store(tx, key, message); err != nil {
		return err
	}
	return tx.Put(expiryKey(expires, key), nil)
}

// expire removes up to limit records, and as many changes, whose time has come. A record that was written anew since has a later mark of its
// own, and stays.
func (m *Machine) expire(tx engine.Tx, now int64, limit int) (Result, error) {
	var marks [][]byte
	err := tx.Scan([]byte{tagExpiry}, expiryKey(now+1, nil), func(key, _ []byte) bool {
		marks = append(marks, append([]byte(nil), key...))
		return len(marks) < limit
	})
	if err != nil {
		return Result{}, err
	}
	for _, mark := range marks {
		expired, err := isExpired(tx, mark[9:], now)
		if err != nil {
			return Result{}, err
		}
		if expired {
			if err := tx.Delete(mark[9:]); err != nil {
				return Result{}, err
			}
		}
		if err := tx.Delete(mark); err != nil {
			return Result{}, err
		}
	}
	changes, err := m.expireChanges(tx, now, limit)
	return Result{Count: len(marks) + changes}, err
}

// isExpired reports whether the record of key is there and past its own time.
func isExpired(r engine.Reader, key []byte, now int64) (bool, error) {
	var message interface {
		proto.Message
		GetExpires() int64
	}
	switch key[0] {
	case tagResult:
		message = &record.StoredResult{}
	case tagInvocation:
		message = &record.Invocation{}
	default:
		message = &record.Tombstone{}
	}
	found, err := load(r, key, message)
	return found && message.GetExpires() <= now, err
}

// nextExpiry gives the time of the earliest mark; ok is false when there is none.
func nextExpiry(r engine.Reader) (at int64, ok bool, err error) {
	err = r.Scan([]byte{tagExpiry}, after([]byte{tagExpiry}), func(key, _ []byte) bool {
		at, ok = int64(binary.BigEndian.Uint64(key[1:9])), true
		return false
	})
	return at, ok, err
}
