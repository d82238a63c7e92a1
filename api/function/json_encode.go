package function

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// The JSON form is written compact: no space between tokens, and fields in the order of the specification, so that even a shell script
// can read a call.

func appendJSONCall(dst []byte, c *Call) []byte {
	dst = appendQuoted(append(dst, `{"class":`...), c.Class)
	dst = strconv.AppendUint(append(dst, `,"partition":`...), uint64(c.Partition), 10)
	dst = appendQuoted(append(dst, `,"object":`...), c.Object)
	dst = appendQuoted(append(dst, `,"method":`...), c.Method)
	dst = strconv.AppendBool(append(dst, `,"readonly":`...), c.Readonly)
	dst = strconv.AppendUint(append(dst, `,"version":`...), c.Version, 10)
	dst = strconv.AppendBool(append(dst, `,"exists":`...), c.Exists)
	if len(c.Payload) > 0 {
		dst = appendData(append(dst, `,"payload":{`...), c.Payload)
		dst = append(dst, '}')
	}
	if c.ContentType != "" {
		dst = appendQuoted(append(dst, `,"content_type":`...), c.ContentType)
	}
	dst = append(dst, `,"entries":`...)
	dst = appendEntries(dst, c.Entries)
	if len(c.Options) > 0 {
		dst = appendTextMap(append(dst, `,"options":`...), c.Options)
	}
	if c.Caller != "" {
		dst = appendQuoted(append(dst, `,"caller":`...), c.Caller)
	}
	return append(dst, '}')
}

func appendJSONReply(dst []byte, r *Reply) []byte {
	open := len(dst)
	dst = append(dst, '{')
	if len(r.Payload) > 0 {
		dst = appendData(append(dst, `"payload":{`...), r.Payload)
		dst = append(dst, `},`...)
	}
	if r.ContentType != "" {
		dst = append(appendQuoted(append(dst, `"content_type":`...), r.ContentType), ',')
	}
	if len(r.Set) > 0 {
		dst = append(appendEntries(append(dst, `"set":`...), r.Set), ',')
	}
	if len(r.Delete) > 0 {
		dst = append(dst, `"delete":`...)
		for i, key := range r.Delete {
			dst = appendQuoted(append(dst, separator(i, '[')), key)
		}
		dst = append(dst, `],`...)
	}
	if len(r.Events) > 0 {
		dst = append(dst, `"events":`...)
		for i := range r.Events {
			dst = appendJSONEvent(append(dst, separator(i, '[')), &r.Events[i])
		}
		dst = append(dst, `],`...)
	}
	return closeObject(dst, open)
}

func appendJSONEvent(dst []byte, e *Event) []byte {
	dst = appendQuoted(append(dst, `{"type":`...), e.Type)
	if e.Subject != "" {
		dst = appendQuoted(append(dst, `,"subject":`...), e.Subject)
	}
	if e.ContentType != "" {
		dst = appendQuoted(append(dst, `,"content_type":`...), e.ContentType)
	}
	if len(e.Data) > 0 {
		dst = append(appendData(append(dst, `,"data":{`...), e.Data), '}')
	}
	if len(e.Extensions) > 0 {
		dst = appendTextMap(append(dst, `,"extensions":`...), e.Extensions)
	}
	return append(dst, '}')
}

// appendEntries writes entries as an object by key.
func appendEntries(dst []byte, entries []Entry) []byte {
	if len(entries) == 0 {
		return append(dst, `{}`...)
	}
	for i := range entries {
		e := &entries[i]
		dst = appendQuoted(append(dst, separator(i, '{')), e.Key)
		dst = appendData(append(dst, `:{`...), e.Data)
		if e.Type != Bytes {
			dst = strconv.AppendUint(append(dst, `,"type":`...), uint64(e.Type), 10)
		}
		if e.Version != 0 {
			dst = strconv.AppendUint(append(dst, `,"version":`...), e.Version, 10)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendData writes bytes as "text":… when they are UTF-8, else as "base64":….
func appendData(dst, data []byte) []byte {
	if utf8.Valid(data) {
		return appendQuoted(append(dst, `"text":`...), data)
	}
	dst = append(dst, `"base64":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, data), '"')
}

func appendTextMap(dst []byte, texts map[string]string) []byte {
	var few [8]string
	for i, key := range sortedKeys(few[:0], texts) {
		dst = appendQuoted(append(dst, separator(i, '{')), key)
		dst = appendQuoted(append(dst, ':'), texts[key])
	}
	return append(dst, '}')
}

// separator gives what stands before element i of a list that begins with open.
func separator(i int, open byte) byte {
	if i == 0 {
		return open
	}
	return ','
}

// closeObject ends an object whose fields each end with a comma.
func closeObject(dst []byte, open int) []byte {
	if len(dst) == open+1 {
		return append(dst, '}')
	}
	dst[len(dst)-1] = '}'
	return dst
}

const hexDigits = "0123456789abcdef"

// appendQuoted writes a JSON string; U+FFFD stands for what is not UTF-8.
func appendQuoted[T string | []byte](dst []byte, text T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = appendEscape(append(dst, text[start:i]...), c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
		if r == utf8.RuneError && size == 1 {
			dst = append(append(dst, text[start:i]...), "\uFFFD"...)
			start = i + size
		}
		i += size
	}
	return append(append(dst, text[start:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// jsonCallHint guesses the size of a call, so that writing it mostly needs one allocation.
func jsonCallHint(c *Call) int {
	size := 160 + len(c.Class) + len(c.Object) + len(c.Method) + len(c.ContentType) + len(c.Caller) + hint(c.Payload)
	for k, v := range c.Options {
		size += len(k) + len(v) + 6
	}
	return size + entriesHint(c.Entries)
}

func jsonReplyHint(r *Reply) int {
	size := 80 + len(r.ContentType) + hint(r.Payload) + entriesHint(r.Set)
	for _, key := range r.Delete {
		size += len(key) + 3
	}
	for i := range r.Events {
		e := &r.Events[i]
		size += 80 + len(e.Type) + len(e.Subject) + len(e.ContentType) + hint(e.Data)
		for k, v := range e.Extensions {
			size += len(k) + len(v) + 6
		}
	}
	return size
}

func entriesHint(entries []Entry) int {
	size := 0
	for i := range entries {
		size += 40 + len(entries[i].Key) + hint(entries[i].Data)
	}
	return size
}

// hint guesses what data takes: text with some escapes, or base64.
func hint(data []byte) int { return len(data) + len(data)/3 + 16 }
