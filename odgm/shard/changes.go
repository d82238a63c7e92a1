package shard

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sort"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// trimSlices is in how many steps a full change log is trimmed: it exceeds its bounds by one part of that many.
const trimSlices = 64

// maxFailureText bounds the message of a method's failure in the change log.
const maxFailureText = 1 << 10

// Span says which changes a partition keeps: those from First to Last, none if Last is First-1. Epoch is that of record.ChangeLog, 0 while there
// never was a change. Of a later log it is greater.
type Span struct {
	Epoch       int64
	First, Last uint64
}

// Changes are those of one commit; the numbers of the changes begin with First.
type Changes struct {
	First   uint64
	Time    int64 // Unix nanoseconds
	Changes []*record.Change
}

// changeLog is what a machine knows of its change log, so that adding to it reads nothing.
type changeLog struct {
	Span
	total, removed uint64 // as in record.Changes and record.ChangeLog

	// What the commands of this transaction have added, and their time and bytes.
	pending []*record.Change
	time    int64
	size    uint64
	buffer  []byte // for encoding
}

// loadChangeLog reads the bounds of the log. Its end is found by some seeks, as every record has a greater number than the one before.
func loadChangeLog(r engine.Reader) (changeLog, error) {
	meta := &record.ChangeLog{}
	if _, err := load(r, changeLogKey, meta); err != nil {
		return changeLog{}, err
	}
	log := changeLog{Span: Span{Epoch: meta.GetEpoch(), First: max(meta.GetFirst(), 1)}, removed: meta.GetRemoved()}
	var failed error
	reaches := func(seq uint64) bool {
		block, _, err := changesFrom(r, seq)
		if err != nil {
			failed = err
		}
		return block != nil
	}
	bound := uint64(1)
	for reaches(log.First + bound - 1) {
		bound *= 2
	}
	kept := uint64(sort.Search(int(bound), func(i int) bool { return !reaches(log.First + uint64(i)) }))
	log.Last, log.total = log.First+kept-1, log.removed
	if kept == 0 || failed != nil {
		return log, failed
	}
	last, _, err := changesFrom(r, log.Last)
	log.total = last.GetTotal()
	return log, err
}

// changesFrom gives the record that has the change seq, or the first one after it, with the number of its first change; nil if there is none.
func changesFrom(r engine.Reader, seq uint64) (block *record.Changes, first uint64, err error) {
	err = scanRecords(r, changeKey(seq), after([]byte{tagChange}), func(key []byte, b *record.Changes) bool {
		block, first = b, firstOf(key, b)
		return false
	})
	return block, first, err
}

// firstOf gives the number of the first change of a record.
func firstOf(key []byte, b *record.Changes) uint64 {
	return binary.BigEndian.Uint64(key[1:]) - uint64(len(b.GetChanges())) + 1
}

// logChange adds what a command did to an object to the change log, if there is something to tell and the class keeps changes. It is written by
// Finish.
func (m *Machine) logChange(now int64, id string, version uint64, changes []change, end *record.MethodEnd) {
	keep := m.config.GetChanges()
	if keep == nil || id == "" || len(changes) == 0 && end == nil {
		return
	}
	c := &record.Change{Object: id, Version: version, Method: end}
	size := len(id) + len(end.GetName()) + len(end.GetMessage()) + 16
	if len(changes) > 0 {
		entries := make([]record.EntryChange, len(changes))
		c.Entries = make([]*record.EntryChange, len(changes))
		for i := range changes {
			e := &entries[i]
			c.Entries[i], e.Key, e.Kind = e, changes[i].key, changes[i].kind()
			if keep.GetValues() && changes[i].has {
				e.Value = append([]byte{}, changes[i].newData()...)
			}
			size += len(e.Key) + len(e.Value) + 8
		}
	}
	m.log.pending = append(m.log.pending, c)
	m.log.time = max(m.log.time, now)
	m.log.size += uint64(size)
}

// Finish ends a transaction: it writes what its commands have in common. It is called once, after the last command.
func (m *Machine) Finish(tx engine.Tx) error {
	log := &m.log
	if len(log.pending) == 0 {
		return nil
	}
	if log.Epoch == 0 {
		log.Epoch = max(log.time/int64(time.Millisecond), 1)
		if err := m.storeChangeLog(tx); err != nil {
			return err
		}
	}
	before := *log
	log.Last += uint64(len(log.pending))
	log.total += log.size
	block := &record.Changes{Changes: log.pending, Time: log.time, Total: log.total}
	data, err := proto.MarshalOptions{}.MarshalAppend(log.buffer[:0], block)
	if err != nil {
		return fmt.Errorf("encode changes: %w", err)
	}
	if log.buffer = data; cap(data) > maxCached {
		log.buffer = nil // of a rare giant
	}
	if err := tx.Put(changeKey(log.Last), data); err != nil {
		return err
	}
	keep := m.config.GetChanges()
	if crosses(before.Last, log.Last, keep.GetRecords()) || crosses(before.total, log.total, keep.GetBytes()) {
		return m.trimChanges(tx, keep)
	}
	return nil
}

// crosses tells whether a number that goes up has come to another of the parts that a bound is divided into.
func crosses(before, after, bound uint64) bool {
	part := max(bound/trimSlices, 1)
	return bound > 0 && before/part != after/part
}

// trimChanges removes the oldest changes until the log is within its bounds of number and bytes. The newest commit stays whatever its size.
func (m *Machine) trimChanges(tx engine.Tx, keep *record.ChangeRetention) error {
	log := &m.log
	first := log.First
	if n := keep.GetRecords(); n > 0 && log.Last-first >= n {
		first = log.Last - n + 1
	}
	if limit := keep.GetBytes(); limit > 0 && log.total-log.removed > limit {
		var failed error
		first += uint64(sort.Search(int(log.Last-first), func(i int) bool {
			block, _, err := changesFrom(tx, first+uint64(i))
			if err != nil {
				failed = err
			}
			return block.GetTotal() > log.total-limit
		}))
		if failed != nil {
			return failed
		}
	}
	return m.removeChanges(tx, first)
}

// removeChanges removes the commits that are wholly before the change seq.
func (m *Machine) removeChanges(tx engine.Tx, seq uint64) error {
	log := &m.log
	block, first, err := changesFrom(tx, seq)
	if err != nil {
		return err
	}
	if block == nil {
		first = seq
	}
	if first <= log.First {
		return nil
	}
	last := &record.Changes{}
	if _, err := load(tx, changeKey(first-1), last); err != nil {
		return err
	}
	if err := tx.DeleteRange(changeKey(log.First), changeKey(first)); err != nil {
		return err
	}
	log.First, log.removed = first, last.GetTotal()
	return m.storeChangeLog(tx)
}

// restartChangeLog begins the log anew after a time in which the class kept no changes: it empties it, and makes positions from before that time those of
// another log, as nobody can tell what is missing behind them.
func (m *Machine) restartChangeLog(tx engine.Tx) error {
	if m.log.Epoch == 0 {
		return nil
	}
	m.log.Epoch++
	if err := m.removeChanges(tx, m.log.Last+1); err != nil {
		return err
	}
	return m.storeChangeLog(tx)
}

func (m *Machine) storeChangeLog(tx engine.Tx) error {
	return store(tx, changeLogKey, &record.ChangeLog{Epoch: m.log.Epoch, First: m.log.First, Removed: m.log.removed})
}

// expireChanges removes up to limit commits from the change log that are too old, or all if the class keeps none any more, and gives their number.
func (m *Machine) expireChanges(tx engine.Tx, now int64, limit int) (int, error) {
	old := now - m.config.GetChanges().GetAge()
	expired, first := 0, m.log.First
	err := scanRecords(tx, changeKey(first), after([]byte{tagChange}), func(key []byte, b *record.Changes) bool {
		if expired == limit || b.GetTime() > old {
			return false
		}
		expired++
		first = binary.BigEndian.Uint64(key[1:]) + 1
		return true
	})
	if err != nil || expired == 0 {
		return 0, err
	}
	return expired, m.removeChanges(tx, first)
}

// takeChanges ends the collecting of changes of a transaction and gives them.
func (m *Machine) takeChanges() Changes {
	log := &m.log
	n := uint64(len(log.pending))
	taken := Changes{First: log.Last - n + 1, Time: log.time, Changes: log.pending}
	log.pending, log.time, log.size = nil, 0, 0
	return taken
}

// kind gives what happened to the entry.
func (c *change) kind() oprc.EventType {
	switch {
	case !c.has:
		return oprc.EventType_EVENT_TYPE_DATA_DELETE
	case !c.had:
		return oprc.EventType_EVENT_TYPE_DATA_CREATE
	}
	return oprc.EventType_EVENT_TYPE_DATA_UPDATE
}

// endOf gives the successful end of a method, or nil.
func endOf(done *record.Completion) *record.MethodEnd {
	if done == nil {
		return nil
	}
	return &record.MethodEnd{Name: done.GetMethod()}
}

// failureOf gives the end of a method that failed.
func failureOf(failure *record.Failed) *record.MethodEnd {
	code, text := failure.GetFailure().GetCode(), failure.GetFailure().GetMessage()
	if code == "" {
		code = "INTERNAL"
	}
	if len(text) > maxFailureText {
		text = string(bytes.ToValidUTF8([]byte(text[:maxFailureText]), nil)) + "…"
	}
	return &record.MethodEnd{Name: failure.GetMethod(), Code: code, Message: text}
}

// Span says which changes are kept.
func (s *Shard) Span() Span {
	s.configMu.RLock()
	defer s.configMu.RUnlock()
	return s.span
}

// Changes gives commits with kept changes of numbers above after, in order: at least one if there is any, and more until they have that many
// changes or 256 KiB. The first one may begin before.
func (s *Shard) Changes(ctx context.Context, seq uint64, limit int) ([]Changes, error) {
	const most = 256 << 10
	var commits []Changes
	count, size := 0, uint64(0)
	err := s.view(ctx, func(r engine.Reader) error {
		start := uint64(0)
		return scanRecords(r, changeKey(seq+1), after([]byte{tagChange}), func(key []byte, b *record.Changes) bool {
			commits = append(commits, Changes{First: firstOf(key, b), Time: b.GetTime(), Changes: b.GetChanges()})
			count += len(b.GetChanges())
			if start == 0 {
				start = b.GetTotal()
			}
			size = b.GetTotal() - start
			return count < limit && size < most
		})
	})
	return commits, err
}

// changesDue tells whether changes have to be removed because of their age.
func (s *Shard) changesDue(r engine.Reader) (bool, error) {
	s.configMu.RLock()
	age := s.config.GetChanges().GetAge()
	s.configMu.RUnlock()
	oldest, _, err := changesFrom(r, 0)
	return oldest != nil && oldest.GetTime() <= s.cfg.Now().UnixNano()-age, err
}
