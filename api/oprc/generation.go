package oprc

import (
	"strconv"

	"google.golang.org/protobuf/proto"
)

// The older generation of messages has numbers where the current one has text. A number means its decimal text, so both name the same object
// or entry. Where a message has both, the text counts; entries and triggers of both forms are joined.

// ObjectID gives the id that a request names, and whether the client speaks the older generation. Without an id it gives "": the older
// generation does not write a 0, so a request for object 0 cannot be told from one that names none.
func ObjectID(text *string, number *uint64) (id string, older bool) {
	switch {
	case text != nil && *text != "":
		return *text, number != nil
	case number != nil:
		return strconv.FormatUint(*number, 10), true
	}
	return "", false
}

// EntryKey gives the key that a request names. The older generation does not write the key 0, so a client that speaks it and names no key
// means that one.
func EntryKey(text *string, number *uint32, older bool) string {
	switch {
	case text != nil && *text != "":
		return *text
	case number != nil:
		return strconv.FormatUint(uint64(*number), 10)
	case older && text == nil:
		return "0"
	}
	return ""
}

// Number gives the number whose decimal text this is, if it is one below 2^bits, written without sign and leading zeros.
func Number(text string, bits int) (uint64, bool) {
	if text == "" || text[0] < '0' || text[0] > '9' || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, bits)
	return n, err == nil
}

// NumericID gives the older form of an object id, or nil if it has none.
func NumericID(id string) *uint64 {
	if n, ok := Number(id, 64); ok {
		return &n
	}
	return nil
}

// ToText turns what the older generation wrote into the current form.
func (d *ObjData) ToText() {
	if d == nil {
		return
	}
	if meta := d.Metadata; meta != nil && meta.NumericObjectId != nil {
		meta.ObjectId, meta.NumericObjectId = textID(meta.ObjectId, meta.NumericObjectId), nil
	}
	d.Entries = joined(d.Entries, d.NumericEntries)
	d.NumericEntries = nil
	d.Event.ToText()
}

// ToText turns what the older generation wrote into the current form.
func (e *ObjectEvent) ToText() {
	if e == nil {
		return
	}
	e.DataTrigger = joined(e.DataTrigger, e.NumericDataTrigger)
	e.NumericDataTrigger = nil
	e.eachTarget(func(t *TriggerTarget) {
		if t.NumericObjectId != nil {
			t.ObjectId, t.NumericObjectId = textID(t.ObjectId, t.NumericObjectId), nil
		}
	})
}

// WithNumbers gives the object in both forms side by side, as far as its id and its keys are numbers. It does not change d, but shares its values.
func (d *ObjData) WithNumbers() *ObjData {
	both := &ObjData{Event: d.GetEvent().WithNumbers(), Entries: d.GetEntries()}
	if meta := d.GetMetadata(); meta != nil {
		both.Metadata = &ObjMeta{
			ClsId: meta.GetClsId(), PartitionId: meta.GetPartitionId(), ObjectId: meta.ObjectId, NumericObjectId: NumericID(meta.GetObjectId()),
		}
	}
	both.NumericEntries = numbered(d.GetEntries())
	return both
}

// WithNumbers gives the triggers in both forms side by side. It does not change e.
func (e *ObjectEvent) WithNumbers() *ObjectEvent {
	if e == nil {
		return nil
	}
	both := proto.CloneOf(e)
	both.eachTarget(func(t *TriggerTarget) { t.NumericObjectId = NumericID(t.GetObjectId()) })
	both.NumericDataTrigger = numbered(both.GetDataTrigger())
	return both
}

// eachTarget calls fn for every target of the triggers.
func (e *ObjectEvent) eachTarget(fn func(*TriggerTarget)) {
	each := func(lists ...[]*TriggerTarget) {
		for _, list := range lists {
			for _, t := range list {
				if t != nil {
					fn(t)
				}
			}
		}
	}
	for _, t := range e.GetFuncTrigger() {
		each(t.GetOnComplete(), t.GetOnError())
	}
	for _, t := range e.GetDataTrigger() {
		each(t.GetOnCreate(), t.GetOnUpdate(), t.GetOnDelete())
	}
}

func textID(text *string, number *uint64) *string {
	id, _ := ObjectID(text, number)
	return &id
}

// joined adds what has numbers as keys to what has text; it changes texts.
func joined[V any](texts map[string]V, numbers map[uint32]V) map[string]V {
	if len(numbers) == 0 {
		return texts
	}
	if texts == nil {
		texts = make(map[string]V, len(numbers))
	}
	for n, v := range numbers {
		key := strconv.FormatUint(uint64(n), 10)
		if _, found := texts[key]; !found {
			texts[key] = v
		}
	}
	return texts
}

// numbered gives what has numbers as keys.
func numbered[V any](texts map[string]V) map[uint32]V {
	var numbers map[uint32]V
	for key, v := range texts {
		if n, ok := Number(key, 32); ok {
			if numbers == nil {
				numbers = make(map[uint32]V)
			}
			numbers[uint32(n)] = v
		}
	}
	return numbers
}
