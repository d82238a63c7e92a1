package shard

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// tombstoneTTL is how long the version of a deleted object is remembered.
const tombstoneTTL = 24 * time.Hour

// change is one entry before and after a write.
type change struct {
	key      string
	put      *record.Put // nil: deleted
	old      *record.Entry
	had, has bool
}

func (c *change) newData() []byte {
	if c.put == nil {
		return nil
	}
	return c.put.GetData()
}

func (c *change) oldData() []byte { return c.old.GetData() }

// write applies a change of one object: everything that can refuse it is looked at before anything is written.
func (m *Machine) write(tx engine.Tx, now int64, w *record.Write) (Result, error) {
	meta := &record.Meta{}
	exists, err := load(tx, metaKey(w.GetObject()), meta)
	if err != nil {
		return Result{}, err
	}
	if err := m.checkExpect(w, meta.GetVersion(), exists); err != nil {
		return Result{}, err
	}
	if err := m.checkInvocation(tx, w.GetCompletion()); err != nil {
		return Result{}, err
	}
	if w.GetDeleteObject() {
		return m.deleteObject(tx, now, w, meta, exists)
	}
	changes, err := m.readChanges(tx, w, meta.GetEntries() > 0)
	if err != nil {
		return Result{}, err
	}
	if w.GetMerge() {
		if err := checkMerge(w.GetObject(), changes); err != nil {
			return Result{}, err
		}
	}
	return m.commitWrite(tx, now, w, meta, exists, changes)
}

// commitWrite writes what write has checked.
func (m *Machine) commitWrite(tx engine.Tx, now int64, w *record.Write, meta *record.Meta, exists bool, changes []change) (Result, error) {
	result := Result{Existed: exists}
	create := !exists && (!w.GetNoCreate() || len(w.GetPuts()) > 0 || w.GetTriggers() != nil)
	if create {
		if err := m.create(tx, w.GetObject(), meta); err != nil {
			return Result{}, err
		}
		result.Created = true
	}
	if !create && !exists {
		result.Version = 0
		return result, m.finishCall(tx, now, w, nil, nil, &result)
	}
	if len(changes) > 0 {
		meta.Version++
	}
	for i := range changes {
		if err := m.applyChange(tx, w.GetObject(), meta, &changes[i], &result); err != nil {
			return Result{}, err
		}
	}
	triggers, err := m.replaceTriggers(tx, w, meta)
	if err != nil {
		return Result{}, err
	}
	if create || len(changes) > 0 || w.GetTriggers() != nil {
		if err := store(tx, metaKey(w.GetObject()), meta); err != nil {
			return Result{}, err
		}
	}
	result.Version = meta.GetVersion()
	f := m.firing(tx, now, w.GetObject(), meta.GetVersion(), w.GetDepth(), w.GetTraceparent(), triggers)
	for i := range changes {
		if err := f.entryChanged(&changes[i]); err != nil {
			return Result{}, err
		}
	}
	return result, m.finishCall(tx, now, w, f, changes, &result)
}

// finishCall stores the outcome of the method that the write belongs to, if any, fires what it caused, and logs the change.
func (m *Machine) finishCall(tx engine.Tx, now int64, w *record.Write, f *firing, changes []change, result *Result) error {
	if f == nil {
		f = m.firing(tx, now, w.GetObject(), result.Version, w.GetDepth(), w.GetTraceparent(), nil)
	}
	if done := w.GetCompletion(); done != nil {
		if err := m.storeOutcome(tx, now, w.GetObject(), result.Version, done); err != nil {
			return err
		}
		if err := f.methodEnded(oprc.EventType_EVENT_TYPE_FUNC_COMPLETE, done.GetMethod(), done.GetPayload(), done.GetContentType()); err != nil {
			return err
		}
	}
	for _, emit := range w.GetEmits() {
		if err := f.emitted(emit); err != nil {
			return err
		}
	}
	result.Events = f.fired
	if err := f.finish(); err != nil {
		return err
	}
	m.logChange(now, w.GetObject(), result.Version, changes, endOf(w.GetCompletion()))
	return nil
}

func (m *Machine) checkExpect(w *record.Write, version uint64, exists bool) error {
	expect := w.GetExpect()
	if expect == nil {
		return nil
	}
	if expect.GetAbsent() && exists {
		return fault.New(fault.VersionMismatch, "object %s exists already, with version %d", w.GetObject(), version)
	}
	if expect.GetPresent() && !exists {
		return fault.New(fault.NoObject, "No object exists in %s with partition %d and string id %s", m.class, m.partition, w.GetObject())
	}
	if expect.Version != nil && expect.GetVersion() != version {
		return fault.New(fault.VersionMismatch, "Version mismatch: expected %d, got %d", expect.GetVersion(), version)
	}
	return nil
}

// checkInvocation refuses the outcome of an asynchronous call that was ended before: a late answer must not change anything.
func (m *Machine) checkInvocation(tx engine.Tx, done *record.Completion) error {
	id := done.GetInvocation()
	if id == "" {
		return nil
	}
	inv := &record.Invocation{}
	found, err := load(tx, invocationKey(id), inv)
	if err != nil {
		return err
	}
	if !found || inv.GetState() != record.InvocationState_INVOCATION_STATE_PENDING {
		return fault.New(fault.Cancelled, "invocation %s has ended already (%s): this answer came too late", id, StateName(inv.GetState()))
	}
	return nil
}

// readChanges gives what the write does to each entry, sorted by key; deletes of absent entries are left out. An object without entries needs no
// look at what was there before.
func (m *Machine) readChanges(tx engine.Tx, w *record.Write, hasEntries bool) ([]change, error) {
	changes := make([]change, 0, len(w.GetPuts())+len(w.GetDeletes()))
	for _, put := range w.GetPuts() {
		changes = append(changes, change{key: put.GetKey(), put: put, has: true})
	}
	for _, key := range w.GetDeletes() {
		changes = append(changes, change{key: key})
	}
	slices.SortStableFunc(changes, func(a, b change) int { return strings.Compare(a.key, b.key) })
	kept := changes[:0]
	for _, c := range changes {
		entry, had := &record.Entry{}, false
		if hasEntries {
			var err error
			if had, err = load(tx, entryKey(w.GetObject(), c.key), entry); err != nil {
				return nil, err
			}
		}
		if !had && !c.has {
			continue
		}
		c.old, c.had = entry, had
		kept = append(kept, c)
	}
	return kept, nil
}

// checkMerge refuses to replace a CRDT document by another: merging them needs automerge, which this platform does not carry.
func checkMerge(id string, changes []change) error {
	for i := range changes {
		c := &changes[i]
		crdt := c.had && c.old.GetType() == oprc.ValType_VAL_TYPE_CRDT_MAP && c.put.GetType() == oprc.ValType_VAL_TYPE_CRDT_MAP
		if crdt && !bytes.Equal(c.oldData(), c.newData()) {
			return fault.New(fault.InvalidArgument,
				"merge: entry %q of object %s is a CRDT document, and documents cannot be merged here; merge it in the client and set it with the expected version", c.key, id)
		}
	}
	return nil
}

// create prepares meta for a new object, which continues the version of a deleted one of the same id.
func (m *Machine) create(tx engine.Tx, id string, meta *record.Meta) error {
	tombstone := &record.Tombstone{}
	found, err := load(tx, tombstoneKey(id), tombstone)
	if err != nil {
		return err
	}
	if found {
		meta.Version = tombstone.GetVersion()
		if err := tx.Delete(tombstoneKey(id)); err != nil {
			return err
		}
	}
	return m.updateCounters(tx, func(c *record.Counters) { c.Objects++ })
}

func (m *Machine) applyChange(tx engine.Tx, id string, meta *record.Meta, c *change, result *Result) error {
	if !c.has {
		meta.Entries--
		result.Deleted++
		return tx.Delete(entryKey(id, c.key))
	}
	if !c.had {
		meta.Entries++
	}
	return store(tx, entryKey(id, c.key), &record.Entry{Data: c.put.GetData(), Type: c.put.GetType(), Version: meta.GetVersion()})
}

// replaceTriggers writes the triggers that come with the write, and gives those in force.
func (m *Machine) replaceTriggers(tx engine.Tx, w *record.Write, meta *record.Meta) (*oprc.ObjectEvent, error) {
	key := triggersKey(w.GetObject())
	if triggers := w.GetTriggers(); triggers != nil {
		meta.HasTriggers = len(triggers.GetDataTrigger())+len(triggers.GetFuncTrigger()) > 0
		if !meta.HasTriggers {
			return nil, tx.Delete(key)
		}
		return triggers, store(tx, key, triggers)
	}
	if !meta.GetHasTriggers() {
		return nil, nil
	}
	triggers := &oprc.ObjectEvent{}
	_, err := load(tx, key, triggers)
	return triggers, err
}

// deleteObject removes the object, fires the deletion of each entry, and leaves a tombstone with its version. An absent object stays absent.
func (m *Machine) deleteObject(tx engine.Tx, now int64, w *record.Write, meta *record.Meta, exists bool) (Result, error) {
	if !exists {
		return Result{}, nil
	}
	id := w.GetObject()
	version := meta.GetVersion() + 1
	result := Result{Existed: true, Version: version, Deleted: int(meta.GetEntries())}
	if err := m.updateCounters(tx, func(c *record.Counters) { c.Objects-- }); err != nil {
		return Result{}, err
	}
	triggers, err := m.replaceTriggers(tx, &record.Write{Object: id}, meta)
	if err != nil {
		return Result{}, err
	}
	f := m.firing(tx, now, id, version, w.GetDepth(), w.GetTraceparent(), triggers)
	gone, err := m.fireDeletions(tx, id, f)
	if err != nil {
		return Result{}, err
	}
	prefix := entryPrefix(id)
	if err := tx.DeleteRange(prefix, after(prefix)); err != nil {
		return Result{}, err
	}
	for _, key := range [][]byte{metaKey(id), triggersKey(id)} {
		if err := tx.Delete(key); err != nil {
			return Result{}, err
		}
	}
	expires := now + int64(tombstoneTTL)
	if err := store(tx, tombstoneKey(id), &record.Tombstone{Version: version, Expires: expires}); err != nil {
		return Result{}, err
	}
	if err := tx.Put(expiryKey(expires, tombstoneKey(id)), nil); err != nil {
		return Result{}, err
	}
	result.Events = f.fired
	if err := f.finish(); err != nil {
		return Result{}, err
	}
	m.logChange(now, id, version, gone, nil)
	return result, nil
}

// fireDeletions fires the deletion of each entry of an object, and gives them for the change log, without their values. The events are written
// after the scan, as a transaction cannot be written to while it is being scanned.
func (m *Machine) fireDeletions(tx engine.Tx, id string, f *firing) (all []change, err error) {
	logged := m.config.GetChanges() != nil
	if !f.watchesEntries() && !logged {
		return nil, nil
	}
	prefix := entryPrefix(id)
	from := prefix
	const batch = 256
	for {
		var gone []change
		var last []byte
		err := scanRecords(tx, from, after(prefix), func(key []byte, entry *record.Entry) bool {
			gone = append(gone, change{key: string(key[len(prefix):]), old: entry, had: true})
			last = bytes.Clone(key)
			return len(gone) < batch
		})
		if err != nil {
			return nil, err
		}
		for i := range gone {
			if err := f.entryChanged(&gone[i]); err != nil {
				return nil, err
			}
			if logged {
				all = append(all, change{key: gone[i].key, had: true})
			}
		}
		if len(gone) < batch {
			return all, nil
		}
		from = append(last, 0)
	}
}
