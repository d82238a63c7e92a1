package keys

import (
	"maps"
	"strings"
	"testing"
)

// Every key of the table in the specification, as it is written there, and what it is.
func TestKeys(t *testing.T) {
	p := Of("shop.cart", 3)
	for text, k := range map[string]Key{
		"oprc/shop.cart/3/objects/a":                           p.Get("a"),
		"oprc/shop.cart/3/objects/a/set":                       p.Set("a"),
		"oprc/shop.cart/3/objects/a/batch-set":                 p.BatchSet("a"),
		"oprc/shop.cart/3/objects/a/entries/k":                 p.Entry("a", "k"),
		"oprc/shop.cart/3/objects/list-objects":                p.ListObjects(),
		"oprc/shop.cart/3/invokes/f":                           p.Invoke("", "f"),
		"oprc/shop.cart/3/objects/a/invokes/f":                 p.Invoke("a", "f"),
		"oprc/shop.cart/3/invokes/f/async/i":                   p.InvokeAsync("", "f", "i"),
		"oprc/shop.cart/3/objects/a/invokes/f/async/i":         p.InvokeAsync("a", "f", "i"),
		"oprc/shop.cart/3/results/f/async/i":                   p.Result("", "f", "i"),
		"oprc/shop.cart/3/objects/a/results/f/async/i":         p.Result("a", "f", "i"),
		"oprc/shop.cart/3/events/a":                            p.Events("a"),
		"oprc/shop.cart/3/liveliness/7":                        p.Liveliness("7"),
		"oprc/shop.cart/3/shards/7/capabilities":               p.Capabilities("7"),
		"oprc/shop.cart/3/objects":                             {Kind: Objects, Class: "shop.cart", Partition: "3"},
		"oprc/*/*/shards/*/capabilities":                       In(Any, Any).Capabilities(Any),
		"oprc/shop.cart/*/objects/*/invokes/f":                 In("shop.cart", Any).Invoke(Any, "f"),
		"oprc/shop.cart/3/objects/18446744073709551615/set":    p.Set("18446744073709551615"),
		"oprc/shop.cart/3/objects/objects/invokes/list-object": p.Invoke("objects", "list-object"),
	} {
		if got := k.String(); got != text {
			t.Errorf("made %s, want %s", got, text)
		}
		if got := Parse(text); got != k {
			t.Errorf("%s is %+v, want %+v", text, got, k)
		}
	}
	for text, id := range map[string]string{"007": "7", "00": "0", "0": "0", "0x1": "0x1", "00000000018446744073709551616": "00000000018446744073709551616", "A": "A"} {
		if got := Parse("oprc/c/0/objects/" + text).Object; got != id {
			t.Errorf("id %s is %s, want %s", text, got, id)
		}
	}
	for _, text := range []string{"", "/", "oprc", "oprc/c/0", "other/c/0/objects/a", "oprc/c/0/objects/a/b", "oprc/c/0/invokes", "oprc/**", "oprc/c/0/**", "oprc/c/0/objects/a/invokes/f/sync/x"} {
		if got := Parse(text); got.Kind != Unknown {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
	for name, good := range map[string]bool{"a.b-c_d": true, "": false, "a/b": false, "a*": false, "$*": false, "a?b": false, "a#": false} {
		if err := Check("class", name); (err == nil) != good {
			t.Errorf("check of %q: %v", name, err)
		}
	}
}

// What Zenoh's own serializer makes of a dict is read, and made again.
func TestAttachment(t *testing.T) {
	native := "\x02\x01a\x01b\x0btraceparent\xc8\x01" + strings.Repeat("x", 200) // zenoh.ext.z_serialize of eclipse-zenoh 1.10
	want := map[string]string{"a": "b", Traceparent: strings.Repeat("x", 200)}
	if got, err := DecodeAttachment([]byte(native)); err != nil || !maps.Equal(got, want) {
		t.Errorf("read %v, %v", got, err)
	}
	if got := string(EncodeAttachment(want)); got != native {
		t.Errorf("made %q", got)
	}
	if EncodeAttachment(nil) != nil {
		t.Error("nothing is something")
	}
	for _, bad := range []string{"text", "\x01", "\x01\x01a", "\x01\x05a", "\x00x", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\xff\xff\xff\xff\x0f\x01a", strings.Repeat("x", MaxAttachment+1)} {
		if _, err := DecodeAttachment([]byte(bad)); err == nil {
			t.Errorf("%.20q is taken", bad)
		}
	}
}

func FuzzAttachment(f *testing.F) {
	f.Add([]byte("\x01\x01a\x01b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeAttachment(b)
		if err != nil {
			return
		}
		if again, err := DecodeAttachment(EncodeAttachment(m)); err != nil || !maps.Equal(again, m) {
			t.Errorf("%v became %v, %v", m, again, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("oprc/c/0/objects/007/invokes/f/async/i")
	f.Fuzz(func(t *testing.T, text string) {
		k := Parse(text)
		if k.Kind == Unknown {
			return
		}
		if again := Parse(k.String()); again != k {
			t.Errorf("%q is %+v, then %+v", text, k, again)
		}
	})
}
