package function

import "slices"

// Field numbers of exchange.proto.
const (
	callClass, callPartition, callObject, callMethod, callReadonly, callVersion = 1, 2, 3, 4, 5, 6
	callExists, callPayload, callContentType, callEntries, callOptions          = 7, 8, 9, 10, 11
	callCaller                                                                  = 12

	replyPayload, replyContentType, replySet, replyDelete, replyEvents = 1, 2, 3, 4, 5

	eventType, eventSubject, eventContentType, eventData, eventExtensions = 1, 2, 3, 4, 5

	valueData, valueType, valueVersion = 1, 2, 3

	mapKey, mapValue = 1, 2
)

func appendBinaryCall(dst []byte, c *Call) []byte {
	dst = appendText(dst, callClass, c.Class)
	dst = appendNumber(dst, callPartition, uint64(c.Partition))
	dst = appendText(dst, callObject, c.Object)
	dst = appendText(dst, callMethod, c.Method)
	dst = appendBool(dst, callReadonly, c.Readonly)
	dst = appendNumber(dst, callVersion, c.Version)
	dst = appendBool(dst, callExists, c.Exists)
	dst = appendBytes(dst, callPayload, c.Payload)
	dst = appendText(dst, callContentType, c.ContentType)
	for i := range c.Entries {
		dst = appendEntry(dst, callEntries, &c.Entries[i])
	}
	dst = appendTexts(dst, callOptions, c.Options)
	return appendText(dst, callCaller, c.Caller)
}

func appendBinaryReply(dst []byte, r *Reply) []byte {
	dst = appendBytes(dst, replyPayload, r.Payload)
	dst = appendText(dst, replyContentType, r.ContentType)
	for i := range r.Set {
		dst = appendEntry(dst, replySet, &r.Set[i])
	}
	for _, key := range r.Delete {
		dst = appendTextAlways(dst, replyDelete, key)
	}
	for i := range r.Events {
		dst = appendEvent(dst, &r.Events[i])
	}
	return dst
}

// appendEntry writes an element of a map<string, Value>.
func appendEntry(dst []byte, number int, e *Entry) []byte {
	inner := sizeOfValue(&e.Value)
	key := validText(e.Key)
	dst = appendLength(dst, number, sizeOfAlways(len(key))+sizeOfAlways(inner))
	dst = appendTextAlways(dst, mapKey, key)
	dst = appendLength(dst, mapValue, inner)
	dst = appendBytes(dst, valueData, e.Data)
	dst = appendNumber(dst, valueType, uint64(e.Type))
	return appendNumber(dst, valueVersion, e.Version)
}

func sizeOfValue(v *Value) int {
	return sizeOfText(len(v.Data)) + sizeOfNumber(uint64(v.Type)) + sizeOfNumber(v.Version)
}

func appendEvent(dst []byte, e *Event) []byte {
	valid := Event{validText(e.Type), validText(e.Subject), validText(e.ContentType), e.Data, e.Extensions}
	dst = appendLength(dst, replyEvents, sizeOfEvent(&valid))
	dst = appendText(dst, eventType, valid.Type)
	dst = appendText(dst, eventSubject, valid.Subject)
	dst = appendText(dst, eventContentType, valid.ContentType)
	dst = appendBytes(dst, eventData, e.Data)
	return appendTexts(dst, eventExtensions, e.Extensions)
}

func sizeOfEvent(e *Event) int {
	return sizeOfText(len(e.Type)) + sizeOfText(len(e.Subject)) + sizeOfText(len(e.ContentType)) +
		sizeOfText(len(e.Data)) + sizeOfTexts(e.Extensions)
}

// appendTexts writes a map<string, string>, ascending by key so that equal calls have equal bodies.
func appendTexts(dst []byte, number int, texts map[string]string) []byte {
	var few [8]string
	for _, key := range sortedKeys(few[:0], texts) {
		k, v := validText(key), validText(texts[key])
		dst = appendLength(dst, number, sizeOfAlways(len(k))+sizeOfAlways(len(v)))
		dst = appendTextAlways(dst, mapKey, k)
		dst = appendTextAlways(dst, mapValue, v)
	}
	return dst
}

func sizeOfTexts(texts map[string]string) int {
	size := 0
	for k, v := range texts {
		size += sizeOfAlways(sizeOfAlways(len(validText(k))) + sizeOfAlways(len(validText(v))))
	}
	return size
}

// sortedKeys appends the keys of texts to keys, whose room saves an allocation for the few that there mostly are.
func sortedKeys(keys []string, texts map[string]string) []string {
	for key := range texts {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// sizeOfCall gives the room that a call takes; exact for valid UTF-8.
func sizeOfCall(c *Call) int {
	size := sizeOfText(len(c.Class)) + sizeOfNumber(uint64(c.Partition)) + sizeOfText(len(c.Object)) + sizeOfText(len(c.Method)) +
		sizeOfNumber(c.Version) + sizeOfText(len(c.Payload)) + sizeOfText(len(c.ContentType)) + sizeOfTexts(c.Options) +
		sizeOfText(len(c.Caller)) + 4 // two booleans
	return size + sizeOfEntries(c.Entries)
}

func sizeOfReply(r *Reply) int {
	size := sizeOfText(len(r.Payload)) + sizeOfText(len(r.ContentType)) + sizeOfEntries(r.Set)
	for _, key := range r.Delete {
		size += sizeOfAlways(len(key))
	}
	for i := range r.Events {
		size += sizeOfAlways(sizeOfEvent(&r.Events[i]))
	}
	return size
}

func sizeOfEntries(entries []Entry) int {
	size := 0
	for i := range entries {
		size += sizeOfAlways(sizeOfAlways(len(entries[i].Key)) + sizeOfAlways(sizeOfValue(&entries[i].Value)))
	}
	return size
}
