package processes

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hpcclab/oaas-go/api/oprc"
)

// TestProcesses uses the whole as clients do, and then kills its parts.
func TestProcesses(t *testing.T) {
	c := startCluster(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"rest", testREST}, {"access", testAccess}, {"large", testLarge}, {"grpc", testGRPC}, {"socket", testSocket},
		{"grid killed", testGridKilled}, {"router killed", testRouterKilled},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(t, c) })
	}
}

func must(t *testing.T, want int, method, url, body string, headers ...string) string {
	t.Helper()
	got, text := try(method, url, []byte(body), headers...)
	if got != want {
		t.Fatalf("%s %s: %d, want %d: %s", method, url, got, want, text)
	}
	return text
}

func testREST(t *testing.T, c *cluster) {
	for _, class := range []string{"shop.counter", "shop.note"} {
		for n := range 5 {
			if got := must(t, http.StatusOK, http.MethodPost, c.object(class, "a")+"/invokes/add", ""); got != fmt.Sprint(n+1) {
				t.Errorf("%s: the count is %s, want %d", class, got, n+1)
			}
		}
		if got := must(t, http.StatusOK, http.MethodGet, c.object(class, "a")+"/entries/count", ""); got != "5" {
			t.Errorf("%s: the entry is %s", class, got)
		}
	}
	if got := must(t, http.StatusNotFound, http.MethodGet, c.object("shop.none", "a"), ""); !strings.Contains(got, "NO_CLASS") {
		t.Errorf("got %s", got)
	}
	begun := time.Now()
	if got := must(t, http.StatusGatewayTimeout, http.MethodPost, c.object("shop.note", "s")+"/invokes/slow", "", "Oaas-Timeout", "300ms"); !strings.Contains(got, "DEADLINE_EXCEEDED") {
		t.Errorf("got %s", got)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("a call of 300 ms took %v", took)
	}
}

// testAccess calls an internal method: from outside, and from methods of both grids through the gateway, which the shared secret proves.
func testAccess(t *testing.T, c *cluster) {
	must(t, http.StatusForbidden, http.MethodPost, c.object("shop.counter", "x")+"/invokes/secret", "")
	for _, class := range []string{"shop.counter", "shop.note"} {
		path := "/api/class/shop.counter/_/objects/x/invokes/secret"
		if got := must(t, http.StatusOK, http.MethodPost, c.object(class, "r")+"/invokes/relay", path); got != "200 told" {
			t.Errorf("through %s: %s", class, got)
		}
	}
}

func testLarge(t *testing.T, c *cluster) {
	text := strings.Repeat("0123456789abcdef", 4<<20/16)
	must(t, http.StatusOK, http.MethodPut, c.object("shop.note", "large")+"/entries/text", text)
	if got := must(t, http.StatusOK, http.MethodGet, c.object("shop.note", "large")+"/entries/text", ""); got != text {
		t.Errorf("got %d bytes, want %d", len(got), len(text))
	}
}

func testGRPC(t *testing.T, c *cluster) {
	conn, err := grpc.NewClient(c.gate.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	data := oprc.NewDataServiceClient(conn)
	id := "a"
	object, err := data.Get(t.Context(), &oprc.SingleObjectRequest{ClsId: "shop.counter", ObjectId: &id, PartitionId: partitionOf(t, c)})
	if err != nil || string(object.GetObj().GetEntries()["count"].GetData()) != "5" {
		t.Errorf("got %v, %v", object, err)
	}
	if _, err := data.Get(t.Context(), &oprc.SingleObjectRequest{ClsId: "shop.none", ObjectId: &id}); status.Code(err) != codes.NotFound {
		t.Errorf("got %v", err)
	}
}

// partitionOf finds the partition of the object a of the counters.
func partitionOf(t *testing.T, c *cluster) uint32 {
	for n := range uint32(3) {
		if status, _ := try(http.MethodGet, c.url(fmt.Sprintf("/api/class/shop.counter/%d/objects/a", n)), nil); status == http.StatusOK {
			return n
		}
	}
	t.Fatal("no partition has the object")
	return 0
}

// testSocket watches a class over all its partitions, also while its grid is killed and comes back.
func testSocket(t *testing.T, c *cluster) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(c.url("/api/class/shop.note/ws"), "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow() //nolint:errcheck // it has served its purpose
	expect := func(id string) {
		t.Helper()
		_, text, err := conn.Read(ctx)
		if err != nil || !strings.Contains(string(text), `"object_id":"`+id+`"`) {
			t.Fatalf("want %s, got %s, %v", id, text, err)
		}
	}
	for n := range 20 {
		id := fmt.Sprintf("w%d", n)
		must(t, http.StatusOK, http.MethodPut, c.object("shop.note", id)+"/entries/k", "v")
		expect(id)
	}
	c.notes.kill()
	c.notes.start()
	until(t, "written again", func() bool {
		status, _ := try(http.MethodPut, c.object("shop.note", "again")+"/entries/k", []byte("v"))
		return status == http.StatusOK
	})
	expect("again")
}

// testGridKilled kills a grid under calls: what was acknowledged is there afterwards, and meanwhile callers are told at once that it is not.
func testGridKilled(t *testing.T, c *cluster) {
	const workers = 8
	var acknowledged [workers]int
	var unavailable atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	for n := range workers {
		running.Go(func() {
			for ctx.Err() == nil {
				begun := time.Now()
				got, text := try(http.MethodPost, c.object("shop.counter", fmt.Sprintf("k%d", n))+"/invokes/add", nil)
				switch {
				case got == http.StatusOK:
					acknowledged[n]++
				case got == http.StatusServiceUnavailable && strings.Contains(text, "UNAVAILABLE"):
					unavailable.Add(1)
					time.Sleep(5 * time.Millisecond)
				default:
					t.Errorf("got %d %s", got, text)
					return
				}
				if took := time.Since(begun); got != http.StatusOK && took > 5*time.Second {
					t.Errorf("%d came after %v", got, took)
				}
			}
		})
	}
	for range 2 {
		before := unavailable.Load()
		time.Sleep(200 * time.Millisecond) // calls run
		c.counters.kill()
		until(t, "callers are told", func() bool { return unavailable.Load() > before+workers })
		if got := must(t, http.StatusOK, http.MethodGet, c.object("shop.note", "again")+"/entries/k", ""); got != "v" {
			t.Errorf("the other grid says %s", got)
		}
		c.counters.start()
		until(t, "served again", func() bool {
			status, _ := try(http.MethodPost, c.object("shop.counter", "z")+"/invokes/add", nil)
			return status == http.StatusOK
		})
	}
	stop()
	running.Wait()
	for n, want := range acknowledged {
		got := must(t, http.StatusOK, http.MethodGet, c.object("shop.counter", fmt.Sprintf("k%d", n))+"/entries/count", "")
		var count int
		if _, err := fmt.Sscan(got, &count); err != nil || count < want {
			t.Errorf("object %d counts %s, %d were acknowledged", n, got, want)
		}
	}
}

// testRouterKilled kills the router: all come back by themselves.
func testRouterKilled(t *testing.T, c *cluster) {
	c.router.kill()
	until(t, "callers are told", func() bool {
		status, text := try(http.MethodGet, c.object("shop.note", "again")+"/entries/k", nil)
		return status == http.StatusServiceUnavailable && strings.Contains(text, "UNAVAILABLE")
	})
	c.router.start()
	for _, class := range []string{"shop.note", "shop.counter"} {
		until(t, class+" is served again", func() bool {
			status, _ := try(http.MethodPost, c.object(class, "z")+"/invokes/add", nil)
			return status == http.StatusOK
		})
	}
	until(t, "the gateway is ready", func() bool { status, _ := try(http.MethodGet, c.url("/readyz"), nil); return status == http.StatusOK })
}
