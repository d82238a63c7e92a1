package oaas_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/runtime/oaas"
)

func TestChange(t *testing.T) {
	text := `{"event_info":{"source_cls_id":"shop.stock","source_partition_id":2,"source_object_id":"apple","event_type":4,"fn_id":null,"key":"amount",` +
		`"timestamp":1700000000123,"context":{"event_id":"e1","version":"9","depth":"1"}},"original_payload":"NQ=="}`
	var change oaas.Change
	if err := json.Unmarshal([]byte(text), &change); err != nil {
		t.Fatal(err)
	}
	var amount int
	if err := change.Decode(&amount); err != nil || amount != 5 {
		t.Errorf("value %q: %v", change.Value, err)
	}
	if change.Object != (oaas.Ref{Class: "shop.stock", Object: "apple", Partition: "2"}) || change.Kind != oaas.EntryUpdated || change.Key != "amount" ||
		change.Version != 9 || change.EventID != "e1" || change.Time.UnixMilli() != 1700000000123 {
		t.Errorf("%+v", change)
	}
	again, err := json.Marshal(change)
	if err != nil {
		t.Fatal(err)
	}
	var back oaas.Change
	if err := json.Unmarshal(again, &back); err != nil || back.Version != 9 || back.Object != change.Object || string(back.Value) != "5" {
		t.Errorf("%s became %+v: %v", again, back, err)
	}
	for _, bad := range []string{`{}`, `5`, `{"event_info":{"source_cls_id":"a.b"}}`, strings.Replace(text, `"9"`, `"x"`, 1), strings.Replace(text, "NQ==", "?", 1)} {
		if err := json.Unmarshal([]byte(bad), &change); err == nil {
			t.Errorf("%s is accepted as %+v", bad, change)
		}
	}
	if err := (oaas.Change{Key: "k", Value: []byte("{")}).Decode(&amount); err == nil {
		t.Error("a broken value is decoded")
	}
	if _, err := json.Marshal(oaas.Change{Object: oaas.Ref{Partition: "x"}}); err == nil {
		t.Error("a partition x is accepted")
	}
}

// A call under way is finished when the process is asked to stop; new connections are refused.
func TestRunDrains(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	handler, err := oaas.NewHandler(oaas.Raw("a.b", "run", func(oaas.Context, *function.Call) (*function.Reply, error) {
		close(begun)
		<-finish
		return &function.Reply{Payload: []byte("done")}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- oaas.Run(ctx, listener, handler) }()
	url := "http://" + listener.Addr().String()
	answered := make(chan string, 1)
	go func() {
		_, _, body := post(t, url, function.JSON, &function.Call{Class: "a.b", Method: "run"}, &function.Meta{})
		answered <- string(body)
	}()
	<-begun
	stop()
	for {
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			break
		}
		connection.Close()
	}
	close(finish)
	if body := <-answered; body != `{"payload":{"text":"done"}}` {
		t.Errorf("answer %s", body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := oaas.Run(t.Context(), listener, handler); err == nil {
		t.Error("a closed listener is served")
	}
	http.DefaultClient.CloseIdleConnections()
}
