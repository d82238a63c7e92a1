package enginetest

import (
	"testing"

	"github.com/hpcclab/oaas-go/odgm/engine"
)

// FuzzKeys is the body of a fuzz test: keys made of any bytes, and what becomes of them when they are cut and extended, are found one by one and
// in their order, and a range that is deleted takes exactly those in it.
func FuzzKeys(f *testing.F, open func(t *testing.T) engine.Engine) {
	for _, seed := range [][3]string{
		{"a", "b", "c"}, {"\x00", "\x00\x00", "\x01"}, {"a", "a\x00", "a\xff"}, {"\xff", "\xff\xff", "\xfe"}, {"object/1/", "object/1/entry", "object/10"},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]), []byte(seed[2]))
	}
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		keys := make([]string, 0, 12)
		for _, key := range []string{string(a), string(b), string(c), string(a) + string(b), string(b) + string(c)} {
			for _, variant := range []string{key, key + "\x00", key + "\xff", key[:len(key)/2]} {
				if len(variant) > 0 && len(variant) <= engine.MaxKey {
					keys = append(keys, variant)
				}
			}
		}
		e := open(t)
		defer closeEngine(t, e)
		checkKeys(t, e, keys)
		m := model{}
		for _, key := range keys {
			if !inRange(key, a, notNil(b)) {
				m[key] = "v" + key
			}
		}
		update(t, e, func(tx engine.Tx) error { return tx.DeleteRange(a, notNil(b)) })
		view(t, e, func(r engine.Reader) error { return m.compareRange(r, nil, nil, len(keys)+1) })
	})
}

// notNil makes an empty bound of none: the fuzzer does not tell them apart.
func notNil(b []byte) []byte { return append([]byte{}, b...) }
