package object

import (
	"slices"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/fault"
)

func TestNormalizeID(t *testing.T) {
	for _, c := range []struct{ in, want, message string }{
		{in: "p1", want: "p1"},
		{in: "P1.Q_r:S-0", want: "p1.q_r:s-0"},
		{in: "007", want: "007"},
		{in: strings.Repeat("x", 160), want: strings.Repeat("x", 160)},
		{in: "", message: "Invalid object id: empty object id"},
		{in: strings.Repeat("x", 161), message: "Invalid object id: object id too long"},
		{in: "bad id", message: "Invalid object id: invalid characters in object id"},
		{in: "a/b", message: "Invalid object id: invalid characters in object id"},
		{in: "ä", message: "Invalid object id: invalid characters in object id"},
		{in: "a\x00b", message: "Invalid object id: invalid characters in object id"},
	} {
		got, err := NormalizeID(c.in)
		if got != c.want || (err == nil) != (c.message == "") {
			t.Errorf("%q gives %q, %v", c.in, got, err)
		}
		if err != nil && (err.Error() != c.message || fault.CodeOf(err) != fault.InvalidObjectID) {
			t.Errorf("%q: error %q (%s), want %q", c.in, err, fault.CodeOf(err), c.message)
		}
	}
}

func TestParseSelector(t *testing.T) {
	s, err := ParseSelector([]string{"Total", "item:*"})
	if err != nil {
		t.Fatal(err)
	}
	if s.All || !slices.Equal(s.Keys, []string{"total"}) || !slices.Equal(s.Prefixes, []string{"item:"}) {
		t.Errorf("got %+v", s)
	}
	if s, err := ParseSelector([]string{"x", "*"}); err != nil || !s.All {
		t.Errorf("* gives %+v, %v", s, err)
	}
	for _, bad := range []string{"", "a b", "a*b", strings.Repeat("x", 161), "ü*"} {
		if _, err := ParseSelector([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"", "a", "A:b", "ä", "\x00", strings.Repeat("z", 200)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := NormalizeID(text)
		if err != nil {
			return
		}
		again, err := NormalizeID(id)
		if err != nil || again != id || len(id) != len(text) || strings.ContainsAny(id, "\x00/ @,") {
			t.Errorf("%q gives %q, which gives %q, %v", text, id, again, err)
		}
	})
}
