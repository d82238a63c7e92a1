package engine

import (
	"errors"
	"testing"

	"github.com/hpcclab/oaas-go/api/fault"
)

func TestCheckWrite(t *testing.T) {
	for _, c := range []struct {
		name              string
		key, value, batch int
		code              fault.Code
	}{
		{"smallest", 1, 0, 0, ""},
		{"longest key", MaxKey, 0, 0, ""},
		{"no key", 0, 1, 0, fault.InvalidArgument},
		{"key too long", MaxKey + 1, 0, 0, fault.TooLarge},
		{"batch just full", 1, 9, MaxBatch - 10, ""},
		{"batch too large", 1, 10, MaxBatch - 10, fault.TooLarge},
		{"batch over-full before", 1, 0, MaxBatch + 1, fault.TooLarge},
	} {
		err := CheckWrite(make([]byte, c.key), make([]byte, c.value), c.batch)
		f, ok := errors.AsType[*fault.Error](err)
		if ok != (c.code != "") || ok && f.Code != c.code {
			t.Errorf("%s: %v, want %q", c.name, err, c.code)
		}
	}
}

func TestEmptyRange(t *testing.T) {
	for _, c := range []struct {
		from, to []byte
		want     bool
	}{
		{nil, nil, false}, {[]byte("a"), nil, false}, {nil, []byte{}, true}, {[]byte("a"), []byte("a"), true},
		{[]byte("a"), []byte("a\x00"), false}, {[]byte("b"), []byte("a"), true}, {nil, []byte("a"), false},
	} {
		if got := EmptyRange(c.from, c.to); got != c.want {
			t.Errorf("EmptyRange(%q, %q) = %v", c.from, c.to, got)
		}
	}
}
