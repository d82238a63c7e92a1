package router

import (
	"testing"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// zenoh-pico attaches to DEL under the number of PUT (0x43), which the native implementation would ignore.
func TestRow10AttachmentOfADeletionIsRenumbered(t *testing.T) {
	config, err := Config{NoTimestamps: true}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	r := newRouter(config)
	m := putOf("k", "")
	m.Data.Raw = []byte{0x82, 0x43, 3, 'a', 't', 't'}
	b, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	var d wire.Decoder
	d.ResetNetwork(b)
	got, err := d.Next()
	if err != nil {
		t.Fatal(err)
	}
	push := got.(*wire.Push)
	newFace(r, session, transport.Peer{}, nil).stamp(&push.Data)
	if b, err = push.AppendBinary(nil); err != nil || string(b[len(b)-6:]) != "\x82\x42\x03att" {
		t.Errorf("sent % x, %v", b, err)
	}
}
