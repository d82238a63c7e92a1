package oaas

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/function"
)

type base struct {
	Owner string `oaas:"owner"`
}

type item struct {
	Amount int    `json:"amount"`
	Note   string `json:"note,omitempty"`
}

type cart struct {
	base
	Total  int               `oaas:"total"`
	Open   bool              `oaas:"open,omitzero"`
	Limit  *int              `oaas:"limit"`
	Tags   []string          `oaas:"tags"`
	Items  map[string]item   `oaas:"item:*"`
	First  item              `oaas:"item:first"`
	Gifts  map[string]*item  `oaas:"item:gift:*"`
	Photo  []byte            `oaas:"photo,raw"`
	Title  string            `oaas:"title,raw"`
	Extra  json.RawMessage   `oaas:"extra"`
	Parts  map[string][]byte `oaas:"part:*,raw"`
	cached int
	Local  string
	Hidden string `oaas:"-"`
}

// run loads a cart from entries, lets fn change it, and gives what goes back as text: "key=value" and "-key".
func run(t *testing.T, entries map[string]string, fn func(*cart)) []string {
	t.Helper()
	p, err := planOf[cart]()
	if err != nil {
		t.Fatal(err)
	}
	call := &function.Call{}
	for _, key := range sorted(entries) {
		call.Entries = append(call.Entries, function.Entry{Key: key, Value: function.Value{Data: []byte(entries[key]), Version: 1}})
	}
	self := reflect.New(p.kind)
	if err := p.load(self.Elem(), call.Entries); err != nil {
		t.Fatal(err)
	}
	fn(self.Interface().(*cart))
	reply := &function.Reply{}
	if err := p.changes(self.Elem(), call, reply); err != nil {
		t.Fatal(err)
	}
	if err := reply.Check(function.Limits{}); err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, e := range reply.Set {
		out = append(out, e.Key+"="+string(e.Data))
	}
	for _, key := range reply.Delete {
		out = append(out, "-"+key)
	}
	return out
}

func sorted(m map[string]string) []string { return strings.Split(names(m), ", ") }

var full = map[string]string{
	"owner": `"ann"`, "total": `3`, "open": `true`, "limit": ` 5 `, "tags": `[ "a" ]`, "item:apple": `{"amount": 2}`, "item:pear": `{"amount":1}`,
	"item:first": `{"amount":9}`, "item:gift:x": `{"amount":4}`, "photo": "\xff\x00", "title": "<b>", "extra": `{"x":1}`, "part:1": "\x01", "other": "?",
}

func TestStateChanges(t *testing.T) {
	five := 5
	for _, c := range []struct {
		name    string
		entries map[string]string
		change  func(*cart)
		want    string
	}{
		{"nothing of nothing", nil, func(*cart) {}, ""},
		{"nothing of all, whatever the spelling", full, func(*cart) {}, ""},
		{"a value", full, func(c *cart) { c.Total = 4 }, "total=4"},
		{"zero of absent stays absent", nil, func(c *cart) { c.Total = 1; c.Total = 0 }, ""},
		{"zero of present is a value", full, func(c *cart) { c.Total = 0 }, "total=0"},
		{"zero with omitzero deletes", full, func(c *cart) { c.Open = false }, "-open"},
		{"nil pointer deletes", full, func(c *cart) { c.Limit = nil }, "-limit"},
		{"equal pointer is no change", full, func(c *cart) { c.Limit = &five }, ""},
		{"pointer to zero is a value", nil, func(c *cart) { c.Limit = new(int) }, "limit=0"},
		{"nil slice deletes", full, func(c *cart) { c.Tags = nil }, "-tags"},
		{"empty slice is a value", nil, func(c *cart) { c.Tags = []string{} }, "tags=[]"},
		{"change inside a slice", full, func(c *cart) { c.Tags[0] = "b" }, `tags=["b"]`},
		{"embedded", full, func(c *cart) { c.Owner = "bob" }, `owner="bob"`},
		{"map add", full, func(c *cart) { c.Items["fig"] = item{} }, `item:fig={"amount":0}`},
		{"map change", full, func(c *cart) { c.Items["apple"] = item{Amount: 3} }, `item:apple={"amount":3}`},
		{"map remove", full, func(c *cart) { delete(c.Items, "pear") }, `-item:pear`},
		{"map clear leaves what belongs to other fields", full, func(c *cart) { c.Items = nil }, `-item:apple -item:pear`},
		{"map upper case", nil, func(c *cart) { c.Items = map[string]item{"Fig": {}} }, `item:fig={"amount":0}`},
		{"longer prefix", full, func(c *cart) { c.Gifts["y"] = &item{Amount: 1} }, `item:gift:y={"amount":1}`},
		{"nil in a map deletes", full, func(c *cart) { c.Gifts["x"] = nil }, `-item:gift:x`},
		{"exact key inside a prefix", full, func(c *cart) { c.First.Amount = 1 }, `item:first={"amount":1}`},
		{"raw", full, func(c *cart) { c.Photo[0] = 'p'; c.Title = "<i>" }, "photo=p\x00 title=<i>"},
		{"raw nil deletes", full, func(c *cart) { c.Photo = nil }, "-photo"},
		{"raw map", full, func(c *cart) { c.Parts["2"] = []byte("z") }, "part:2=z"},
		{"html stays", nil, func(c *cart) { c.Owner = "<a&b>" }, `owner="<a&b>"`},
		{"no state", full, func(c *cart) { c.cached, c.Local, c.Hidden = 1, "x", "y" }, ""},
		{"several", full, func(c *cart) { c.Total = 9; c.Limit = nil; c.Tags = nil; c.Open = false }, "total=9 -limit -open -tags"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(run(t, c.entries, c.change), " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A raw slice is a copy: changing it must not change what it is compared with.
func TestStateTypeIsKept(t *testing.T) {
	p, err := planOf[cart]()
	if err != nil {
		t.Fatal(err)
	}
	call := &function.Call{Entries: []function.Entry{{Key: "total", Value: function.Value{Data: []byte("1"), Type: function.CRDTMap}}}}
	self := reflect.New(p.kind)
	if err := p.load(self.Elem(), call.Entries); err != nil {
		t.Fatal(err)
	}
	self.Interface().(*cart).Total = 2
	reply := &function.Reply{}
	if err := p.changes(self.Elem(), call, reply); err != nil {
		t.Fatal(err)
	}
	if reply.Set[0].Type != function.CRDTMap {
		t.Error("the type of the entry got lost")
	}
}

func TestStateThatDoesNotFit(t *testing.T) {
	p, err := planOf[cart]()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []function.Entry{
		{Key: "total", Value: function.Value{Data: []byte(`"x"`)}},
		{Key: "total", Value: function.Value{Data: []byte(`{`)}},
		{Key: "item:a", Value: function.Value{Data: []byte(`5`)}},
	} {
		err := p.load(reflect.New(p.kind).Elem(), []function.Entry{e})
		if err == nil || !strings.Contains(err.Error(), `entry "`+e.Key+`" does not fit field`) {
			t.Errorf("%s = %s: %v", e.Key, e.Data, err)
		}
	}
	for name, change := range map[string]func(*cart){
		"bad key":   func(c *cart) { c.Items = map[string]item{"a b": {}} },
		"foreign":   func(c *cart) { c.Items = map[string]item{"first": {}} },
		"foreign 2": func(c *cart) { c.Items = map[string]item{"gift:z": {}} },
		"not JSON":  func(c *cart) { c.Extra = json.RawMessage("{") },
	} {
		self := reflect.New(p.kind)
		change(self.Interface().(*cart))
		if err := p.changes(self.Elem(), &function.Call{}, &function.Reply{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBadTags(t *testing.T) {
	type (
		upper struct {
			A int `oaas:"Count"`
		}
		char struct {
			A int `oaas:"a b"`
		}
		empty struct {
			A int `oaas:""`
		}
		option struct {
			A int `oaas:"a,omitempty"`
		}
		twice struct {
			A int `oaas:"a"`
			B int `oaas:"a"`
		}
		prefixes struct {
			A map[string]int `oaas:"a*"`
			B map[string]int `oaas:"a*"`
		}
		noMap struct {
			A []int `oaas:"a*"`
		}
		intMap struct {
			A map[int]int `oaas:"a*"`
		}
		raw struct {
			A int `oaas:"a,raw"`
		}
		hidden struct {
			a int `oaas:"a"`
		}
		deep struct{ upper }
	)
	for name, check := range map[string]func() (*plan, error){
		`keys are lower case: "count"`: planOf[upper], `has ' '`: planOf[char], "the key is empty": planOf[empty], `unknown option "omitempty"`: planOf[option],
		`fields A and B are both the entry "a"`: planOf[twice], `both the entry "a*"`: planOf[prefixes], "needs a map with string keys, not []int": planOf[noMap],
		"not map[int]int": planOf[intMap], "raw needs []byte or string, not int": planOf[raw], "is not exported": planOf[hidden],
		`tag "Count"`: planOf[deep], "it must be a struct": planOf[int],
	} {
		if _, err := check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not say %q", err, name)
		}
	}
	_ = hidden{}.a
	type all struct {
		A map[string]json.RawMessage `oaas:"*"`
	}
	if _, err := planOf[all](); err != nil {
		t.Errorf("all entries: %v", err)
	}
}

func TestCodeOf(t *testing.T) {
	for status, want := range map[int]string{404: "NOT_FOUND", 418: "IM_A_TEAPOT", 599: "STATUS_599", 203: "NON_AUTHORITATIVE_INFORMATION"} {
		if got := codeOf(status); got != want {
			t.Errorf("%d is %s, not %s", status, got, want)
		}
	}
}
