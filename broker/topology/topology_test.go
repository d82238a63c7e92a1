package topology

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
)

// told is what two routers tell of a network with a gateway, a data grid and a function.
var told = [][2]string{
	{"@/aa/router", `{"zid":"aa"}`},
	{"@/aa/router/session/transport/unicast/c1", `{"whatami":"client"}`},
	{"@/aa/router/session/transport/unicast/bb", `{"whatami":"router"}`},
	{"@/bb/router/session/transport/unicast/c1", `{"whatami":"client"}`},
	{"@/bb/router/session/transport/unicast/p1", `{"whatami":"peer"}`},
	{"@/bb/router/session/transport/unicast/x", `no JSON`},
	{"@/aa/router/linkstate/routers", "graph {\n  0 [ label = \"aa\" ]\n  1 [ label = \"bb\" ]\n  0 -- 1 [ label = \"100\" ]\n  1 -- 7\n}"},
	{"@/aa/router/route/successor/src/aa/dst/bb", ""},
	{"@/aa/router/route/successor/src/bb/dst/cc", ""},
	{"@/bb/router/queryable/oprc/shop.cart/0/objects/**", ""},
	{"@/bb/router/queryable/oprc/shop.cart/0/objects/*/invokes/add", ""},
	{"@/bb/router/subscriber/oprc/shop.cart/0/invokes/echo/async/*", ""},
	{"@/bb/router/subscriber/oprc/shop.cart/*/objects/*/invokes/*/async/*", ""},
	{"@/bb/router/subscriber/other/key", ""},
	{"@/pp/peer/session/transport/unicast/aa", `{"whatami":"router"}`},
	{"@", ""}, {"", ""}, {"@/aa", ""}, {"@/aa/router/route/successor/src/aa", ""}, {"@/aa/router/subscriber/oprc", ""},
}

const picture = `{"routers":[{"id":"aa","node_type":"router"},{"id":"bb","node_type":"router"},{"id":"cc","node_type":"router"}],` +
	`"sessions":[{"id":"bb","node_type":"router"},{"id":"c1","node_type":"client"},{"id":"p1","node_type":"peer"}],` +
	`"edges":[{"source":"aa","target":"bb","kind":"linkstate"},{"source":"aa","target":"bb","kind":"successor"},{"source":"bb","target":"aa","kind":"linkstate"},{"source":"bb","target":"cc","kind":"successor"}],` +
	`"sessions_per_owner":{"aa":2,"bb":2},` +
	`"router_info":[{"id":"bb","functions":["add","echo"],"odgm_objects":true,"classes":["shop.cart"]}]}`

func TestPictureInAnyOrder(t *testing.T) {
	for seed := range uint64(20) {
		var b Builder
		for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(len(told)) {
			b.Add(told[i][0], []byte(told[i][1]))
		}
		if text, err := json.Marshal(b.Picture()); err != nil || string(text) != picture {
			t.Fatalf("seed %d: %v\n%s\nwant\n%s", seed, err, text, picture)
		}
	}
}

func TestNothingTold(t *testing.T) {
	text, err := json.Marshal(new(Builder).Picture())
	if want := `{"routers":[],"sessions":[],"edges":[],"sessions_per_owner":{},"router_info":[]}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

func FuzzAdd(f *testing.F) {
	for _, one := range told {
		f.Add(one[0], one[1])
	}
	f.Fuzz(func(t *testing.T, key, payload string) {
		var b Builder
		b.Add(key, []byte(payload))
		b.Picture()
	})
}
