package function

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// known numbers the fields of an object, so that a field that is given twice is noticed.
type known struct {
	scan  *scan
	at    string // path of the object, empty for the outermost
	names []string
	nulls bool // null stands for an absent field
	seen  uint
}

// field gives the position of name among the known names; -1 if there is nothing more to read: it is not known, given twice, or absent.
func (k *known) field(name string, strict bool) int {
	for i, n := range k.names {
		if n != name {
			continue
		}
		if k.seen&(1<<i) != 0 {
			k.scan.fail(k.path(name), "is given twice")
			return -1
		}
		k.seen |= 1 << i
		if k.nulls && k.scan.null() {
			return -1
		}
		return i
	}
	if strict {
		k.scan.fail(k.path(clip(name)), "is not a known field")
	} else {
		k.scan.raw(clip(name))
	}
	return -1
}

func (k *known) path(name string) string {
	if k.at == "" {
		return name
	}
	return k.at + "." + name
}

var callFields = []string{
	"class", "partition", "object", "method", "readonly", "version", "exists", "payload", "content_type", "entries", "options", "caller",
}

func decodeJSONCall(body []byte) (*Call, error) {
	s := &scan{buf: body}
	c := &Call{}
	fields := known{scan: s, names: callFields, nulls: true}
	var standard string
	s.object("", func(name string) {
		switch fields.field(name, false) {
		case 0:
			c.Class = s.string(name)
		case 1:
			c.Partition = uint32(s.uint(name, 32))
		case 2:
			c.Object = s.string(name)
		case 3:
			c.Method = s.string(name)
		case 4:
			c.Readonly = s.bool(name)
		case 5:
			c.Version = s.uint(name, 64)
		case 6:
			c.Exists = s.bool(name)
		case 7:
			c.Payload, standard = s.data(name)
		case 8:
			c.ContentType = s.string(name)
		case 9:
			c.Entries = s.entries(name, false)
		case 10:
			c.Options = s.texts(name)
		case 11:
			c.Caller = s.string(name)
		}
	})
	if s.end(); s.err != nil {
		return nil, s.err
	}
	if c.ContentType == "" {
		c.ContentType = standard
	}
	if err := sortEntries(c.Entries); err != nil {
		return nil, err
	}
	return c, nil
}

var replyFields = []string{"payload", "content_type", "set", "delete", "events"}

func decodeJSONReply(body []byte) (*Reply, error) {
	s := &scan{buf: body}
	r := &Reply{}
	fields := known{scan: s, names: replyFields, nulls: true}
	var standard string
	s.object("", func(name string) {
		switch fields.field(name, true) {
		case 0:
			r.Payload, standard = s.data(name)
		case 1:
			r.ContentType = s.string(name)
		case 2:
			r.Set = s.entries(name, true)
		case 3:
			s.array(name, func(i int) { r.Delete = append(r.Delete, s.string(element(name, i))) })
		case 4:
			s.array(name, func(i int) { r.Events = append(r.Events, s.event(element(name, i))) })
		}
	})
	if s.end(); s.err != nil {
		return nil, s.err
	}
	if r.ContentType == "" {
		r.ContentType = standard
	}
	return r, nil
}

func element(name string, i int) string { return name + "[" + strconv.Itoa(i) + "]" }

var eventFields = []string{"type", "subject", "content_type", "data", "extensions"}

func (s *scan) event(field string) (e Event) {
	fields := known{scan: s, at: field, names: eventFields, nulls: true}
	var standard string
	s.object(field, func(name string) {
		switch fields.field(name, true) {
		case 0:
			e.Type = s.string(field + ".type")
		case 1:
			e.Subject = s.string(field + ".subject")
		case 2:
			e.ContentType = s.string(field + ".content_type")
		case 3:
			e.Data, standard = s.data(field + ".data")
		case 4:
			e.Extensions = s.texts(field + ".extensions")
		}
	})
	if e.ContentType == "" {
		e.ContentType = standard
	}
	return e
}

// entries reads an object of values by key.
func (s *scan) entries(field string, strict bool) (entries []Entry) {
	s.object(field, func(key string) {
		value, _ := s.value(field+"."+clip(key), entryFields, strict)
		entries = append(entries, Entry{Key: key, Value: value})
	})
	return entries
}

// The fields of a value: of a payload or of an event's data only the first three, one of which must be there; the version only in calls.
var (
	entryFields = []string{"text", "base64", "json", "type", "version"}
	dataFields  = entryFields[:3]
)

// data reads a value without type and version, and gives the content type that it has unless another one is named.
func (s *scan) data(field string) ([]byte, string) {
	value, standard := s.value(field, dataFields, true)
	return value.Data, standard
}

func (s *scan) value(field string, names []string, strict bool) (v Value, standard string) {
	fields := known{scan: s, at: field, names: names}
	contents := 0
	s.object(field, func(name string) {
		switch fields.field(name, strict) {
		case 0:
			v.Data = s.stringBytes(field)
			contents++
		case 1:
			v.Data = s.base64(field)
			contents++
		case 2:
			v.Data, standard = compact(s.raw(field)), "application/json"
			contents++
		case 3:
			v.Type = Type(s.uint(field+".type", 31))
		case 4:
			v.Version = s.uint(field+".version", 64)
		}
	})
	if contents != 1 {
		s.fail(field, "has %d of text, base64 and json; exactly one must be there", contents)
	}
	return v, standard
}

// compact gives JSON without white space.
func compact(text []byte) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return text // cannot be: it was checked before
	}
	return b.Bytes()
}

// texts reads an object of strings.
func (s *scan) texts(field string) map[string]string {
	texts := make(map[string]string)
	s.object(field, func(key string) {
		path := field + "." + clip(key)
		if _, twice := texts[key]; twice {
			s.fail(path, "is given twice")
		}
		texts[key] = s.string(path)
	})
	return texts
}
