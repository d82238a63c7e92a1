package wire

import (
	"bytes"
	"testing"
)

// What a router hands on: the body as it came, with a timestamp put in where it has none.
func TestRawBodies(t *testing.T) {
	stamp := Timestamp{Time: 1 << 60, ID: NewZID()}
	for _, del := range []bool{false, true} {
		for _, had := range []Timestamp{{}, {Time: 7, ID: NewZID()}} {
			m := Push{Key: Key("k"), Data: Data{Delete: del, Timestamp: had, Attachment: []byte("a"), Extra: []Extension{{ID: 0x2d, Value: 5}}}}
			if !del {
				m.Data.Payload, m.Data.Encoding = []byte("payload"), Encoding{ID: EncodingJSON}
			}
			b, err := m.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			var d Decoder
			d.ResetNetwork(b)
			got, err := d.Next()
			if err != nil {
				t.Fatal(err)
			}
			on := got.(*Push)
			on.Data.Raw = on.Data.Encoded()
			if had.IsZero() {
				on.Data.Timestamp, m.Data.Timestamp = stamp, stamp
			}
			want, err := m.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := on.AppendBinary(nil)
			if err != nil || !bytes.Equal(whole, want) {
				t.Errorf("sent % x, %v, want % x", whole, err, want)
			}
			if head, tail, err := on.AppendHead(nil); err != nil || !bytes.Equal(append(head, tail...), want) {
				t.Errorf("in two parts % x, want % x", append(head, tail...), want)
			}
		}
	}
}

func TestHeadAndTail(t *testing.T) {
	body := []byte{0x04, 0x01, 1, 'x'}
	for _, m := range []interface {
		Message
		AppendHead([]byte) ([]byte, []byte, error)
	}{
		&Response{ID: 1, Key: Key("k"), Reply: Reply{Data: Data{Payload: []byte("payload")}}},
		&Response{ID: 1, Key: Key("k"), Raw: body},
		&Response{ID: 1, IsErr: true, Err: ReplyErr{Payload: []byte("oops")}},
		&Request{ID: 1, Key: Key("k"), Query: Query{Payload: []byte("x")}},
		&Request{ID: 1, Key: Key("k"), Query: Query{Raw: []byte{0x03}}},
		&Push{Key: Key("k"), Data: Data{Payload: []byte("payload")}},
	} {
		want, err := m.AppendBinary([]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		head, tail, err := m.AppendHead([]byte("before"))
		if err != nil || !bytes.Equal(append(head, tail...), want) {
			t.Errorf("%T: % x and % x, %v, want % x", m, head, tail, err, want)
		}
	}
}
