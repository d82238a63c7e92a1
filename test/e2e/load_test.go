package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/oprc"
)

const (
	manyConnections = 2000
	manyEntries     = 1_000_000
	manyObjects     = 200_000
	// listingMemory is how much the platform's memory may grow while it lists, page by page, what is hundreds of times as large as a page.
	listingMemory = 96 << 20
)

// TestManyConnections keeps 2,000 connections open and has all of them call at once.
func TestManyConnections(t *testing.T) {
	p := startPlatform(t)
	p.deploy("many", countingPackage("many", "pebble"))
	p.must(http.MethodPost, methodPath("many.counter", "warm", "add"), nil)
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	var failed atomic.Int64
	ready.Add(manyConnections)
	for n := range manyConnections {
		done.Go(func() {
			connection, err := net.DialTimeout("tcp", p.addr, patience)
			ready.Done()
			if err != nil {
				t.Errorf("connection %d: %v", n, err)
				return
			}
			defer connection.Close()
			<-start
			if err := callOver(connection, methodPath("many.counter", "o"+strconv.Itoa(n%500), "add"), strconv.Itoa(n)); err != nil {
				if failed.Add(1) < 5 {
					t.Errorf("connection %d: %v", n, err)
				}
			}
		})
	}
	ready.Wait()
	if a := p.do(http.MethodGet, "/healthz", nil); a.status != http.StatusOK {
		t.Errorf("beside %d connections: %s", manyConnections, a)
	}
	close(start)
	done.Wait()
	total := 0
	for n := range 500 {
		total += p.number("many.counter", "o"+strconv.Itoa(n), "n")
	}
	if total != manyConnections || failed.Load() > 0 {
		t.Errorf("%d calls were counted, %d failed, of %d", total, failed.Load(), manyConnections)
	}
	p.drained()
	if seen := p.metric("oaas_outbox_dead_letters_total"); seen != 0 {
		t.Errorf("%v dead letters", seen)
	}
}

// callOver makes one call over a connection, and wants it to succeed.
func callOver(connection net.Conn, path, key string) error {
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, "http://localhost"+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Idempotency-Key", key)
	request.Header.Set("Connection", "close")
	if err := request.Write(connection); err != nil {
		return err
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(connection); err != nil {
		return err
	}
	if !strings.HasPrefix(text.String(), "HTTP/1.1 200 ") {
		return fmt.Errorf("%.300s", text.String())
	}
	return nil
}

// largePackage is a package whose class is only written and listed.
func largePackage(engine string) string {
	return stubPackage("large", "http://127.0.0.1:9/", "options: {storage_backend: "+engine+"}", "{name: none, function_key: fn}")
}

// TestMillionEntries lists an object with a million entries: page by page, in order, each once, in memory that does not grow with it.
func TestMillionEntries(t *testing.T) {
	p := startPlatform(t)
	p.deploy("large", largePackage("bbolt"))
	began := time.Now()
	p.writeEntries("large.thing", "wide")
	t.Logf("a million entries were written in %s", time.Since(began))
	p.bounded("entries", func() {
		p.walk(objectPath("large.thing", "wide")+"/entries", "entries", "key", entryKey, manyEntries)
	})
	p.must(http.MethodDelete, objectPath("large.thing", "wide"), nil)
	if a := p.do(http.MethodGet, objectPath("large.thing", "wide")+"/entries", nil); a.code() != "NO_OBJECT" {
		t.Errorf("after the delete: %s", a)
	}
}

// TestManyObjects lists a class with 200,000 objects in the same way.
func TestManyObjects(t *testing.T) {
	p := startPlatform(t)
	p.deploy("large", largePackage("pebble"))
	p.writeObjects("large.thing")
	p.bounded("objects", func() {
		p.walk("/api/class/large.thing/_/objects", "objects", "object_id", objectID, manyObjects)
	})
	// A prefix at the end is found without counting what it skips.
	a := p.must(http.MethodGet, "/api/class/large.thing/_/objects?prefix="+objectID(manyObjects - 1)[:6], nil)
	if !bytes.Contains(a.body, []byte(objectID(manyObjects-1))) || bytes.Contains(a.body, []byte(objectID(0))) {
		t.Errorf("the prefix of the last id gives %s", a)
	}
}

func entryKey(n int) string { return fmt.Sprintf("e%07d", n) }
func objectID(n int) string { return fmt.Sprintf("o%07d", n) }

// writeEntries writes a million entries in batches.
func (p *platform) writeEntries(class, object string) {
	p.t.Helper()
	const batch = 50_000
	value := &oprc.ValData{Data: []byte("value")}
	for from := 0; from < manyEntries; from += batch {
		request := &oprc.BatchSetValuesRequest{Values: make(map[string]*oprc.ValData, batch)}
		for n := from; n < from+batch; n++ {
			request.Values[entryKey(n)] = value
		}
		body, err := proto.Marshal(request)
		if err != nil {
			p.t.Fatal(err)
		}
		p.must(http.MethodPatch, objectPath(class, object), body, "Content-Type", asProto, "Oaas-Timeout", "60s")
	}
}

// writeObjects makes 200,000 objects with an entry each.
func (p *platform) writeObjects(class string) {
	p.t.Helper()
	var clients sync.WaitGroup
	var next, failed atomic.Int64
	for range 128 {
		clients.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= manyObjects || failed.Load() > 0 {
					return
				}
				if a, err := p.send(http.MethodPut, objectPath(class, objectID(n))+"/entries/x", []byte("value")); err != nil || a.status != http.StatusOK {
					failed.Add(1)
					p.t.Errorf("write object %d: %v %v", n, a, err)
				}
			}
		})
	}
	clients.Wait()
}

// walk lists page by page and wants every name once, in order.
func (p *platform) walk(path, list, field string, name func(int) string, count int) {
	p.t.Helper()
	n, pages := 0, 0
	for cursor := ""; ; pages++ {
		a := p.must(http.MethodGet, path+"?limit=1000&cursor="+cursor, nil)
		var page map[string]json.RawMessage
		var rows []map[string]any
		if err := json.Unmarshal(a.body, &page); err != nil {
			p.t.Fatal(err)
		}
		if err := json.Unmarshal(page[list], &rows); err != nil {
			p.t.Fatal(err)
		}
		for _, row := range rows {
			if row[field] != name(n) {
				p.t.Fatalf("row %d of %s is %v, not %s", n, path, row[field], name(n))
			}
			n++
		}
		cursor = ""
		if page["next_cursor"] != nil {
			if err := json.Unmarshal(page["next_cursor"], &cursor); err != nil {
				p.t.Fatal(err)
			}
		}
		if cursor == "" {
			break
		}
	}
	if n != count || pages != count/1000-1 {
		p.t.Errorf("%s lists %d rows in %d pages, not %d", path, n, pages+1, count)
	}
}

// bounded runs something and wants the platform's memory not to have grown much on the way. Where there is no /proc nothing is measured.
func (p *platform) bounded(what string, run func()) {
	p.t.Helper()
	before := p.memory("VmRSS:")
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid()), []byte("5"), 0) // the peak begins anew, where the system can do that
	run()
	peak := p.memory("VmHWM:")
	p.t.Logf("%s: %d MiB before, at most %d MiB while listing", what, before>>20, peak>>20)
	if before > 0 && peak > before+listingMemory {
		p.t.Errorf("listing %s took the platform from %d to %d MiB", what, before>>20, peak>>20)
	}
}

// memory gives a line of the platform's status in bytes; 0 where there is none.
func (p *platform) memory(line string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		return 0
	}
	for row := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(row, line); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return kib << 10
		}
	}
	return 0
}
