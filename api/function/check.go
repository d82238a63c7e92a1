package function

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error says which field of an exchange breaks the contract, and how.
type Error struct {
	Field  string // path in the JSON form, such as set.count or events[2].type; empty for the whole body
	Reason string // names the value and what is allowed
}

// Error gives "field: reason".
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return e.Field + ": " + e.Reason
}

// invalid makes an error, which is text whatever bytes the value has.
func invalid(field, format string, args ...any) *Error {
	return &Error{Field: strings.ToValidUTF8(field, "\uFFFD"), Reason: strings.ToValidUTF8(fmt.Sprintf(format, args...), "\uFFFD")}
}

// clip shortens a value for use in an error.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	end := most
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// Limits bound what a call or reply may hold. A zero field stands for its default.
type Limits struct {
	Body    int // bytes of the whole body; 64 MiB
	Payload int // bytes of the payload, and of the data of one event; 32 MiB
	Value   int // bytes of one entry; 32 MiB
	Changes int // entries set and deleted; 10,000
	Events  int // events emitted; 1,000
	Key     int // characters of an entry key; 160
}

// The defaults of Limits.
const (
	DefaultBody    = 64 << 20
	DefaultPayload = 32 << 20
	DefaultValue   = 32 << 20
	DefaultChanges = 10_000
	DefaultEvents  = 1_000
	DefaultKey     = 160
)

// Longest texts of events: attributes end up in HTTP headers, which have limits of their own.
const (
	maxEventText     = 1024
	maxExtensions    = 64
	maxExtensionName = 20
)

func orDefault(limit, standard int) int {
	if limit == 0 {
		return standard
	}
	return limit
}

func (l Limits) checkBody(body []byte) error {
	if most := orDefault(l.Body, DefaultBody); len(body) > most {
		return invalid("", "the body has %d bytes; at most %d are allowed", len(body), most)
	}
	return nil
}

// Check brings the keys of a reply to lower case and reports the first rule of the contract that it breaks.
func (r *Reply) Check(limits Limits) error {
	if most := orDefault(limits.Payload, DefaultPayload); len(r.Payload) > most {
		return invalid("payload", "has %d bytes; at most %d are allowed", len(r.Payload), most)
	}
	if err := checkText("content_type", r.ContentType); err != nil {
		return err
	}
	if err := r.checkChanges(limits); err != nil {
		return err
	}
	if most := orDefault(limits.Events, DefaultEvents); len(r.Events) > most {
		return invalid("events", "%d events; at most %d are allowed", len(r.Events), most)
	}
	for i := range r.Events {
		if err := r.Events[i].check(fmt.Sprintf("events[%d]", i), limits); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reply) checkChanges(limits Limits) error {
	changes := len(r.Set) + len(r.Delete)
	if most := orDefault(limits.Changes, DefaultChanges); changes > most {
		return invalid("set", "%d entries are set or deleted; at most %d are allowed", changes, most)
	}
	var seen keySet
	seen.init(changes)
	for i := range r.Set {
		if err := r.Set[i].check(&seen, limits); err != nil {
			return err
		}
	}
	for i, given := range r.Delete {
		key, err := NormalizeKey(given, limits.Key)
		if err != nil {
			return invalid(fmt.Sprintf("delete[%d]", i), "%v", err)
		}
		r.Delete[i] = key
		if seen.has(key) {
			return invalid(fmt.Sprintf("delete[%d]", i), "the key %q is set or deleted already", key)
		}
	}
	return nil
}

// check brings the key to lower case and checks an entry that a reply sets.
func (e *Entry) check(seen *keySet, limits Limits) error {
	given := e.Key
	wrong := func(part, format string, args ...any) error { return invalid("set."+clip(given)+part, format, args...) }
	key, err := NormalizeKey(given, limits.Key)
	if err != nil {
		return wrong("", "%v", err)
	}
	e.Key = key
	if seen.has(key) {
		return wrong("", "the key %q is given twice", key)
	}
	if most := orDefault(limits.Value, DefaultValue); len(e.Data) > most {
		return wrong("", "has %d bytes; at most %d are allowed", len(e.Data), most)
	}
	if e.Type > CRDTMap {
		return wrong(".type", "%d is not a type of entries; 0 (bytes) and 1 (CRDT map) are", e.Type)
	}
	if e.Version != 0 {
		return wrong(".version", "only the platform gives versions")
	}
	return nil
}

// NormalizeKey gives the lower-case form of an entry key, or an error that says what is wrong with it. A maximum of 0 means the default.
func NormalizeKey(key string, maximum int) (string, error) {
	if key == "" {
		return "", fmt.Errorf("the key is empty")
	}
	if most := orDefault(maximum, DefaultKey); len(key) > most {
		return "", fmt.Errorf("the key %q has %d characters; at most %d are allowed", clip(key), len(key), most)
	}
	upper := false
	for i := range len(key) {
		switch c := key[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == ':', c == '-':
		case 'A' <= c && c <= 'Z':
			upper = true
		default:
			r, _ := utf8.DecodeRuneInString(key[i:])
			return "", fmt.Errorf("the key %q has %q; letters, digits and . _ : - are allowed", key, r)
		}
	}
	if upper {
		return strings.ToLower(key), nil
	}
	return key, nil
}

// reserved are the attributes that CloudEvents itself defines; an extension must not replace them.
var reserved = map[string]bool{
	"id": true, "source": true, "specversion": true, "type": true, "subject": true, "time": true,
	"datacontenttype": true, "dataschema": true, "data": true, "data_base64": true,
}

func (e *Event) check(field string, limits Limits) error {
	if e.Type == "" {
		return invalid(field+".type", "is missing")
	}
	for _, text := range []struct{ name, value string }{
		{"type", e.Type}, {"subject", e.Subject}, {"content_type", e.ContentType},
	} {
		if err := checkText(field+"."+text.name, text.value); err != nil {
			return err
		}
	}
	if most := orDefault(limits.Payload, DefaultPayload); len(e.Data) > most {
		return invalid(field+".data", "has %d bytes; at most %d are allowed", len(e.Data), most)
	}
	if len(e.Extensions) > maxExtensions {
		return invalid(field+".extensions", "%d extensions; at most %d are allowed", len(e.Extensions), maxExtensions)
	}
	for name, value := range e.Extensions {
		if err := checkExtension(field+".extensions", name, value); err != nil {
			return err
		}
	}
	return nil
}

func checkExtension(field, name, value string) error {
	ok := name != "" && len(name) <= maxExtensionName
	for i := range len(name) {
		c := name[i]
		ok = ok && ('a' <= c && c <= 'z' || '0' <= c && c <= '9')
	}
	if !ok {
		return invalid(field, "%q is not a name of an extension: 1 to %d of a-z and 0-9", clip(name), maxExtensionName)
	}
	if reserved[name] {
		return invalid(field, "%q is an attribute of CloudEvents itself", name)
	}
	return checkText(field+"."+name, value)
}

// checkText refuses what cannot be an attribute of a CloudEvent: too long, not UTF-8, or with control characters.
func checkText(field, text string) error {
	if len(text) > maxEventText {
		return invalid(field, "has %d bytes; at most %d are allowed", len(text), maxEventText)
	}
	if !utf8.ValidString(text) {
		return invalid(field, "%q is not UTF-8", clip(text))
	}
	for _, r := range text {
		if r < ' ' || 0x7f <= r && r <= 0x9f {
			return invalid(field, "%q has the control character %U", clip(text), r)
		}
	}
	return nil
}

// keySet finds repeated keys; few keys are compared one by one, which needs no memory.
type keySet struct {
	few  [8]string
	n    int
	many map[string]struct{}
}

// init prepares an empty set for size keys.
func (s *keySet) init(size int) {
	if size > len(s.few) {
		s.many = make(map[string]struct{}, size)
	}
}

// has tells whether key was given before, and remembers it.
func (s *keySet) has(key string) bool {
	if s.many != nil {
		_, found := s.many[key]
		s.many[key] = struct{}{}
		return found
	}
	for _, k := range s.few[:s.n] {
		if k == key {
			return true
		}
	}
	s.few[s.n] = key
	s.n++
	return false
}
