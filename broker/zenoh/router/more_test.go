package router

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/broker/zenoh/scouting"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryLink(t *testing.T) {
	name := fmt.Sprint("router-test-", time.Now().UnixNano())
	r := start(t, Config{Listen: []string{
		"tcp/127.0.0.1:0", "udp/127.0.0.1:0", "ws/127.0.0.1:0", "unixsock-stream/" + filepath.Join(t.TempDir(), "zenoh.sock"), "inproc/" + name,
	}})
	var all []*client
	for _, endpoint := range r.Locators() {
		c, err := tryDial(t, endpoint, transport.Config{})
		if err != nil {
			t.Fatal(err)
		}
		c.say(sub(1, "**"))
		c.sync()
		all = append(all, c)
	}
	for i, c := range all {
		c.say(putOf("k", fmt.Sprint("from ", i)))
		for _, other := range all {
			if other != c {
				other.hears(fmt.Sprint("put k from ", i))
			}
		}
	}
}

func TestThousandSubscribers(t *testing.T) {
	r := start(t, Config{})
	var all []*client
	for i := range 100 {
		c := dial(t, r, transport.Config{})
		for n := range 10 {
			c.say(sub(uint32(n), fmt.Sprintf("many/%d/%d", i, n)))
		}
		c.say(sub(10, "many/**"))
		all = append(all, c)
	}
	await(t, r, func(s Statistics) bool { return s.Subscribers == 1001 })
	for _, c := range all {
		c.sync()
	}
	publisher := dial(t, r, transport.Config{})
	publisher.say(putOf("many/7/3", "a"), putOf("many/x", "b"))
	for _, c := range all {
		c.hears("put many/7/3 a", "put many/x b")
	}
}

func TestRow18AdminSpace(t *testing.T) {
	r := start(t, Config{AdminSpace: true, Metadata: map[string]any{"name": "edge"}})
	a := dial(t, r, transport.Config{})
	a.say(sub(1, "oprc/c/0/objects/**"), complete(1, "oprc/c/0/invokes/f"), token(1, "live"))
	a.sync()
	root := "@/" + r.ZID().String() + "/router"
	a.say(get(1, root, wire.BestMatching))
	heard := <-a.heard
	if !strings.HasPrefix(heard, "reply 1 "+root+" ") {
		t.Fatalf("heard %q", heard)
	}
	a.hears("final 1")
	a.say(get(2, "@/**", wire.All))
	keys := map[string]bool{}
	for heard := range a.heard {
		fields := strings.Fields(heard)
		if fields[0] == "final" {
			break
		}
		keys[strings.TrimPrefix(fields[2], root)] = true
	}
	for _, want := range []string{"", "/metrics", "/linkstate/routers", "/subscriber/oprc/c/0/objects/**", "/queryable/oprc/c/0/invokes/f", "/token/live"} {
		if !keys[want] {
			t.Errorf("no reply for %q: %v", want, keys)
		}
	}
	a.say(get(3, "**", wire.All)) // does not match a verbatim chunk
	a.hears("final 3")
	for _, e := range r.admin.entries() {
		if e.key == root {
			b, err := json.Marshal(e.payload)
			if err != nil || !strings.Contains(string(b), `"whatami":"client"`) || !strings.Contains(string(b), `"name":"edge"`) {
				t.Errorf("root %s: %v", b, err)
			}
		}
	}

	off := start(t, Config{})
	b := dial(t, off, transport.Config{})
	b.say(get(1, "@/**", wire.All))
	b.hears("final 1")
}

func TestRow18AnswersScouts(t *testing.T) {
	group := fmt.Sprintf("224.0.0.224:%d", 20000+rand.IntN(20000))
	config := scouting.Config{Group: group, Interfaces: []string{"lo"}, Interval: 50 * time.Millisecond}
	r, err := Open(t.Context(), Config{Listen: []string{"tcp/127.0.0.1:0"}, Scouting: &config})
	if err != nil {
		t.Skip("no multicast here: ", err)
	}
	defer r.Close(context.Background())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for found, err := range scouting.Scout(ctx, config, wire.Router) {
		if err != nil {
			t.Fatal(err)
		}
		if found.ZID != r.ZID() || len(found.Locators) != 1 || found.Locators[0] != r.Locators()[0] {
			t.Errorf("found %+v", found)
		}
		return
	}
	t.Fatal("nobody answered")
}

func TestRow18LanesStayApart(t *testing.T) {
	r := start(t, Config{})
	a, b := dial(t, r, transport.Config{}), dial(t, r, transport.Config{})
	b.say(sub(1, "**"))
	b.sync()
	const n = 300
	for i := range n {
		for p := wire.PriorityControl + 1; p <= wire.PriorityBackground; p++ {
			m := putOf(fmt.Sprint("p", p.Index()), fmt.Sprint(i))
			m.QoS = wire.QoS{Priority: p, Congestion: wire.Block}
			for _, lossy := range []bool{false, true} {
				m.Key = wire.Key(fmt.Sprintf("p%d/%t", p.Index(), lossy))
				if err := a.Send(context.Background(), m, transport.Delivery{QoS: m.QoS, BestEffort: lossy}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	next := map[string]int{}
	for range 2 * 7 * n {
		select {
		case heard := <-b.heard:
			fields := strings.Fields(heard)
			if fields[2] != fmt.Sprint(next[fields[1]]) {
				t.Fatalf("heard %q, want number %d", heard, next[fields[1]])
			}
			next[fields[1]]++
		case <-time.After(patience):
			t.Fatalf("heard only %v", next)
		}
	}
}

func TestRow18SoakLeavesNothing(t *testing.T) {
	r := start(t, Config{Limits: Limits{Routes: 16}})
	var churn sync.WaitGroup
	for worker := range 8 {
		churn.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 7))
			for range 15 {
				c, err := tryDial(t, r.Locators()[0], transport.Config{QueueSize: 64})
				if err != nil {
					t.Error(err)
					return
				}
				for range 60 {
					key := modelKeys[rng.IntN(len(modelKeys))]
					id := uint32(rng.IntN(20) + 1)
					k := kind(rng.IntN(int(kinds)))
					var m wire.Network
					switch rng.IntN(7) {
					case 0, 1:
						m = declareOf(declares[k], id, key)
					case 2:
						m = undeclare(undeclares[k], id)
					case 3:
						m = interestIn(id, wire.InterestMode(rng.IntN(4)), options[k]|wire.InterestOptions(rng.IntN(2)<<7), key)
					case 4:
						m = get(id, key, wire.Target(rng.IntN(3)))
					case 5:
						m = final(id)
					default:
						m = putOf(key, "x")
					}
					if c.Send(context.Background(), m, transport.Delivery{QoS: wire.QoSDeclare}) != nil {
						break
					}
				}
				if rng.IntN(2) == 0 {
					c.hangUp()
				} else {
					c.Abort(wire.CloseGeneric)
					c.waitEnd()
				}
			}
		})
	}
	churn.Wait()
	await(t, r, func(s Statistics) bool {
		return s.Sessions+s.Subscribers+s.Queryables+s.Tokens+s.Interests+s.Pending+r.places() == 0
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for k := range kinds {
		if r.watched[k].Len()+len(r.watchAll[k]) != 0 {
			t.Errorf("interests in a %s are left over", k)
		}
	}
}
