package event

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/hpcclab/oaas-go/api/oprc"
)

// updated is an entry that changed.
func updated() *Change {
	return &Change{
		ID: "h2-7", Kind: int32(oprc.EventType_EVENT_TYPE_DATA_UPDATE), Class: "shop.cart", Partition: 3, Object: "c:1", Version: 1 << 40, Key: "total",
		Data: []byte(`{"eur": 5}`), ContentType: "application/json", Time: time.UnixMilli(1700000000123), Depth: 2,
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
}

func TestCloudEvent(t *testing.T) {
	e, err := updated().CloudEvent()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"specversion":"1.0","id":"h2-7","type":"oaas.entry.updated","source":"/oaas/shop.cart/3/c:1","subject":"total",` +
		`"time":"2023-11-14T22:13:20.123Z","datacontenttype":"application/json","data":{"eur": 5},"oaasclass":"shop.cart","oaaspartition":3,` +
		`"oaasobject":"c:1","oaasversion":"1099511627776","oaasdepth":2,"oaaskey":"total",` +
		`"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`
	if !sameJSON(t, string(text), want) {
		t.Errorf("event\n%s, want\n%s", text, want)
	}
	if Depth(*e) != 2 {
		t.Errorf("depth %d", Depth(*e))
	}
}

func TestTypes(t *testing.T) {
	want := map[int32]string{
		0: "", 1: "oaas.method.completed", 2: "oaas.method.failed", 3: "oaas.entry.created", 4: "oaas.entry.updated", 5: "oaas.entry.deleted", 6: "", -1: "",
	}
	for kind, name := range want {
		if TypeOf(kind) != name {
			t.Errorf("type of %d is %q, want %q", kind, TypeOf(kind), name)
		}
	}
}

func TestSource(t *testing.T) {
	for _, c := range []struct{ class, object, want string }{
		{"shop.cart", "a-1:b_2.c", "/oaas/shop.cart/0/a-1:b_2.c"},
		{"shop.cart", "", "/oaas/shop.cart/0"},
		{"odd class", "a/b", "/oaas/odd%20class/0/a%2Fb"},
	} {
		if got := Source(c.class, 0, c.object); got != c.want {
			t.Errorf("source of %s %s is %s, want %s", c.class, c.object, got, c.want)
		}
	}
}

// TestEmitted: an emitted event keeps what the method gave it, and cannot forge what the platform says.
func TestEmitted(t *testing.T) {
	c := &Change{
		ID: "x", Type: "com.example.paid", Class: "shop.cart", Object: "c1", Version: 4, Depth: 1, Subject: "order 7", Data: []byte("héllo"),
		ContentType: "text/plain", Extensions: map[string]string{"region": "eu", AttrDepth: "0", AttrClass: "forged", AttrMethod: "forged"},
	}
	e, err := c.CloudEvent()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"region": "eu", AttrClass: "shop.cart", AttrPartition: int32(0), AttrObject: "c1", AttrVersion: "4", AttrDepth: int32(1)}
	if !maps.Equal(e.Extensions(), want) {
		t.Errorf("extensions %v, want %v", e.Extensions(), want)
	}
	if e.Type() != "com.example.paid" || e.Subject() != "order 7" || e.Source() != "/oaas/shop.cart/0/c1" || string(e.Data()) != "héllo" || e.DataBase64 {
		t.Errorf("event %v", e)
	}
}

// TestData: what stays readable in the JSON form, and what does not.
func TestData(t *testing.T) {
	for _, c := range []struct{ contentType, data, want string }{
		{"application/json", `[1]`, `"data":[1]`},
		{"application/json; charset=utf-8", `{}`, `"data":{}`},
		{"application/problem+json", `{}`, `"data_base64":"e30="`},
		{"application/json", `[1`, `"data_base64":"WzE="`},
		{"text/plain; charset=utf-8", "a", `"data":"a"`},
		{"text/plain", "\xff", `"data_base64":"/w=="`},
		{"image/png", "a", `"data_base64":"YQ=="`},
		{"", "a", `"datacontenttype":"application/octet-stream"`},
	} {
		change := updated()
		change.Data, change.ContentType = []byte(c.data), c.contentType
		e, err := change.CloudEvent()
		if err != nil {
			t.Errorf("%s: %v", c.contentType, err)
			continue
		}
		text, err := json.Marshal(e)
		if err != nil || !strings.Contains(string(text), c.want) {
			t.Errorf("%q of %s: %s, %v; want %s", c.data, c.contentType, text, err, c.want)
		}
	}
}

func TestBadEmits(t *testing.T) {
	for name, c := range map[string]*Change{
		"no type":               {ID: "x", Class: "a.b"},
		"no id":                 {Type: "t", Class: "a.b"},
		"extension is id":       {ID: "x", Type: "t", Class: "a.b", Extensions: map[string]string{"id": "y"}},
		"extension with dash":   {ID: "x", Type: "t", Class: "a.b", Extensions: map[string]string{"a-b": "y"}},
		"extension upper case":  {ID: "x", Type: "t", Class: "a.b", Extensions: map[string]string{"aB": "y"}},
		"extension is empty":    {ID: "x", Type: "t", Class: "a.b", Extensions: map[string]string{"": "y"}},
		"malformed contenttype": {ID: "x", Type: "t", Class: "a.b", Data: []byte("a"), ContentType: "a b"},
	} {
		if e, err := c.CloudEvent(); err == nil {
			t.Errorf("%s: gave %v", name, e)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error of several lines: %q", name, err)
		}
	}
}

func TestDepth(t *testing.T) {
	for value, want := range map[any]uint32{int32(3): 3, int32(-3): 0, "4": 4, "x": 0, "99999999999": 0, true: 0} {
		e := cloudevents.New()
		e.SetExtension(AttrDepth, value)
		if got := Depth(e); got != want {
			t.Errorf("depth of %v is %d, want %d", value, got, want)
		}
	}
	if Depth(cloudevents.New()) != 0 {
		t.Error("an event without depth has one")
	}
}

func TestTriggerPayload(t *testing.T) {
	info := func(kind int32) *Change {
		c := updated()
		c.Kind = kind
		return c
	}
	for name, c := range map[string]struct {
		change *Change
		want   string
	}{
		"entry": {info(4), `{"event_info":{"source_cls_id":"shop.cart","source_partition_id":3,"source_object_id":"c:1","event_type":4,"fn_id":null,
			"key":"total","timestamp":1700000000123,"context":{"event_id":"h2-7","version":"1099511627776","depth":"2"}},
			"original_payload":"eyJldXIiOiA1fQ=="}`},
		"deleted entry": {info(5), `{"event_info":{"source_cls_id":"shop.cart","source_partition_id":3,"source_object_id":"c:1","event_type":5,"fn_id":null,
			"key":"total","timestamp":1700000000123,"context":{"event_id":"h2-7","version":"1099511627776","depth":"2"}},"original_payload":null}`},
		"stateless function without result": {&Change{ID: "i", Kind: 1, Class: "a.b", Method: "f"}, `{"event_info":{"source_cls_id":"a.b",
			"source_partition_id":0,"source_object_id":null,"event_type":1,"fn_id":"f","key":null,"timestamp":0,
			"context":{"event_id":"i","version":"0","depth":"0"}},"original_payload":""}`},
	} {
		text, err := c.change.TriggerPayload().JSON()
		if err != nil || !sameJSON(t, string(text), c.want) {
			t.Errorf("%s:\n%s, %v; want\n%s", name, text, err, c.want)
		}
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	normal := func(text string) string {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		out, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	return normal(a) == normal(b)
}
