package function

import (
	"cmp"
	"math"
	"slices"
)

func decodeBinaryCall(body []byte) (*Call, error) {
	w := newWire(body)
	c := &Call{}
	for number, kind, ok := w.next("call"); ok; number, kind, ok = w.next("call") {
		switch number {
		case callClass:
			c.Class = w.string("class", kind)
		case callPartition:
			c.Partition = uint32(w.number("partition", kind, math.MaxUint32))
		case callObject:
			c.Object = w.string("object", kind)
		case callMethod:
			c.Method = w.string("method", kind)
		case callReadonly:
			c.Readonly = w.number("readonly", kind, 1) == 1
		case callVersion:
			c.Version = w.number("version", kind, math.MaxUint64)
		case callExists:
			c.Exists = w.number("exists", kind, 1) == 1
		case callPayload:
			c.Payload = w.bytes("payload", kind)
		case callContentType:
			c.ContentType = w.string("content_type", kind)
		case callEntries:
			c.Entries = append(c.Entries, w.entry("entries", kind, false))
		case callOptions:
			w.textPair("options", kind, &c.Options, false)
		case callCaller:
			c.Caller = w.string("caller", kind)
		default:
			w.unknown(false, "call", number, kind)
		}
	}
	if w.err != nil {
		return nil, w.err
	}
	if err := sortEntries(c.Entries); err != nil {
		return nil, err
	}
	return c, nil
}

func decodeBinaryReply(body []byte) (*Reply, error) {
	w := newWire(body)
	r := &Reply{}
	for number, kind, ok := w.next("reply"); ok; number, kind, ok = w.next("reply") {
		switch number {
		case replyPayload:
			r.Payload = w.bytes("payload", kind)
		case replyContentType:
			r.ContentType = w.string("content_type", kind)
		case replySet:
			r.Set = append(r.Set, w.entry("set", kind, true))
		case replyDelete:
			r.Delete = append(r.Delete, w.string("delete", kind))
		case replyEvents:
			r.Events = append(r.Events, w.event("events", kind))
		default:
			w.unknown(true, "reply", number, kind)
		}
	}
	if w.err != nil {
		return nil, w.err
	}
	return r, nil
}

// unknown deals with a field that this release does not know: strict readers refuse it, others skip it.
func (w *wire) unknown(strict bool, message string, number uint64, kind int) {
	if strict {
		w.fail(message, "field number %d is not known", number)
		return
	}
	w.skip(message, kind)
}

// entry reads an element of a map<string, Value>.
func (w *wire) entry(field string, kind int, strict bool) (e Entry) {
	pair := w.message(field, kind)
	for number, kind, ok := pair.next(field); ok; number, kind, ok = pair.next(field) {
		switch number {
		case mapKey:
			e.Key = pair.string(field, kind)
		case mapValue:
			e.Value = pair.value(field, kind, strict)
		default:
			pair.unknown(strict, field, number, kind)
		}
	}
	w.keep(&pair)
	return e
}

func (w *wire) value(field string, kind int, strict bool) (v Value) {
	inner := w.message(field, kind)
	for number, kind, ok := inner.next(field); ok; number, kind, ok = inner.next(field) {
		switch number {
		case valueData:
			v.Data = inner.bytes(field, kind)
		case valueType:
			v.Type = Type(inner.number(field, kind, math.MaxInt32))
		case valueVersion:
			v.Version = inner.number(field, kind, math.MaxUint64)
		default:
			inner.unknown(strict, field, number, kind)
		}
	}
	w.keep(&inner)
	return v
}

func (w *wire) event(field string, kind int) (e Event) {
	inner := w.message(field, kind)
	for number, kind, ok := inner.next(field); ok; number, kind, ok = inner.next(field) {
		switch number {
		case eventType:
			e.Type = inner.string("events.type", kind)
		case eventSubject:
			e.Subject = inner.string("events.subject", kind)
		case eventContentType:
			e.ContentType = inner.string("events.content_type", kind)
		case eventData:
			e.Data = inner.bytes("events.data", kind)
		case eventExtensions:
			inner.textPair("events.extensions", kind, &e.Extensions, true)
		default:
			inner.unknown(true, field, number, kind)
		}
	}
	w.keep(&inner)
	return e
}

// textPair reads an element of a map<string, string> into texts.
func (w *wire) textPair(field string, kind int, texts *map[string]string, strict bool) {
	pair := w.message(field, kind)
	var key, value string
	for number, kind, ok := pair.next(field); ok; number, kind, ok = pair.next(field) {
		switch number {
		case mapKey:
			key = pair.string(field, kind)
		case mapValue:
			value = pair.string(field, kind)
		default:
			pair.unknown(strict, field, number, kind)
		}
	}
	w.keep(&pair)
	if w.err != nil {
		return
	}
	if *texts == nil {
		*texts = make(map[string]string)
	}
	if _, twice := (*texts)[key]; twice {
		w.fail(field, "the key %q is given twice", clip(key))
	}
	(*texts)[key] = value
}

// keep takes over the error of a nested reader.
func (w *wire) keep(inner *wire) {
	if w.err == nil {
		w.err = inner.err
	}
}

// sortEntries brings the entries of a call into the order that Call promises.
func sortEntries(entries []Entry) error {
	byKey := func(a, b Entry) int { return cmp.Compare(a.Key, b.Key) }
	if !slices.IsSortedFunc(entries, byKey) {
		slices.SortFunc(entries, byKey)
	}
	for i := 1; i < len(entries); i++ {
		if entries[i-1].Key == entries[i].Key {
			return invalid("entries."+clip(entries[i].Key), "the key is given twice")
		}
	}
	return nil
}
