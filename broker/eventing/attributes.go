package eventing

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	changes "github.com/hpcclab/oaas-go/broker/event"
)

// headerPrefix begins the headers of attributes in binary mode, in the spelling of net/http.
const headerPrefix = "Ce-"

// parseOverrides reads {"extensions": {"name": "value"}}, the form of K_CE_OVERRIDES. Other members are Knative's business.
func parseOverrides(text string) (map[string]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var overrides struct {
		Extensions map[string]string `json:"extensions"`
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	if err := decoder.Decode(&overrides); err != nil {
		return nil, fmt.Errorf("parse K_CE_OVERRIDES: %w", err)
	}
	if decoder.More() {
		return nil, fmt.Errorf("parse K_CE_OVERRIDES: text after the object")
	}
	for name := range overrides.Extensions {
		if !changes.ValidName(name) {
			return nil, fmt.Errorf("parse K_CE_OVERRIDES: extension %q: a name is made of a-z and 0-9, and is no attribute of CloudEvents itself", name)
		}
	}
	return overrides.Extensions, nil
}

// encodeHeader writes attribute values in the form that the HTTP binding asks for and the library leaves out: everything but printable ASCII,
// and space, quote and percent, as percent and two digits for each byte.
func encodeHeader(header http.Header) {
	for name, values := range header {
		if strings.HasPrefix(name, headerPrefix) && len(values) == 1 {
			values[0] = encodeValue(values[0])
		}
	}
}

func encodeValue(value string) string {
	plain := func(c byte) bool { return c > ' ' && c <= '~' && c != '"' && c != '%' }
	n := 0
	for n < len(value) && plain(value[n]) {
		n++
	}
	if n == len(value) {
		return value
	}
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; plain(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// decodeValue undoes encodeValue. A percent sign that begins no byte stands for itself, as many senders do not encode.
func decodeValue(value string) (string, bool) {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	if !strings.Contains(value, "%") {
		return value, utf8.ValidString(value)
	}
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] == '%' && i+2 < len(value) {
			if c, err := hex.DecodeString(value[i+1 : i+3]); err == nil {
				b.WriteByte(c[0])
				i += 2
				continue
			}
		}
		b.WriteByte(value[i])
	}
	return b.String(), utf8.ValidString(b.String())
}

// IdempotencyKey gives the key under which the effect of an event comes once: source and id name an event uniquely. Long ones are hashed.
func IdempotencyKey(source, id string) string {
	key := "ce:" + strconv.Itoa(len(source)) + ":" + source + ":" + id
	if len(key) <= 200 {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "ce:sha256:" + hex.EncodeToString(sum[:])
}
