package cli

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// saying is a Package Manager that answers every GET with the next of some texts, and the last one from then on.
func saying(t *testing.T, texts ...string) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1))
		text := texts[min(n, len(texts))-1]
		if text == "404" {
			w.WriteHeader(http.StatusNotFound)
			text = `{"error":"none"}`
		}
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

const (
	deploying = `[{"key":"items","condition":"DEPLOYING"}]`
	runs      = `[{"key":"items","condition":"RUNNING"}]`
	isDown    = `[{"key":"items","condition":"DOWN"}]`
	someRun   = `[{"id":"a","status":{"condition":"Running"}},{"id":"b","status":{"condition":"Deploying"}}]`
	allRun    = `[{"id":"a","status":{"condition":"Running"}},{"id":"b","status":{"condition":"Running"}}]`
	oneFails  = `[{"id":"a","status":{"condition":"Deploying","phase":"FAILED","message":"no image"}}]`
)

func TestWait(t *testing.T) {
	for name, c := range map[string]struct {
		args  string
		says  []string
		code  int
		want  string
		asked int32
	}{
		"until it runs":        {"deploy list --wait", []string{deploying, runs}, 0, "RUNNING", 2},
		"it is down":           {"deploy list --wait", []string{deploying, isDown}, 1, "deployment items is DOWN", 2},
		"all class runtimes":   {"class-runtimes list --wait", []string{someRun, allRun}, 0, "Running", 2},
		"one fails":            {"class-runtimes list --wait", []string{oneFails}, 1, "no image", 1},
		"none is there yet":    {"class-runtimes list --wait", []string{"[]", allRun}, 0, "Running", 2},
		"not in time":          {"deploy list --wait --timeout 100ms", []string{deploying}, 1, "items is not running yet after 100ms", 1},
		"nothing in time":      {"class-runtimes list --wait --timeout 100ms", []string{"[]"}, 1, "there is none yet after 100ms", 1},
		"until it is gone":     {"deploy delete items --wait", []string{runs, runs, "404"}, 0, "deleted successfully", 3},
		"nonsense is answered": {"deploy list --wait", []string{"<html>"}, 1, "is this a Package Manager?", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, asked := saying(t, c.says...)
			o := command(t, "", []string{"OAAS_URL=" + url}, strings.Fields(c.args)...)
			if o.code != c.code || !strings.Contains(o.out+o.err, c.want) || asked.Load() != c.asked {
				t.Errorf("%+v, %d requests; want %q and %d", o, asked.Load(), c.want, c.asked)
			}
		})
	}
}

// A deployment that is applied is waited for.
func TestApplyWaits(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.CopyFS(".", os.DirFS(packageDir+"/testdata/files")); err != nil {
		t.Fatal(err)
	}
	url, _ := saying(t, "404", "{}", deploying, runs) // is it there?, it is taken, and the list
	o := command(t, "", []string{"OAAS_URL=" + url}, "deploy", "apply", "store.yaml", "--wait")
	if o.code != 0 || !strings.Contains(o.out, "Deployment 'items' applied successfully") {
		t.Errorf("%+v", o)
	}
	url, _ = saying(t, "404", "{}", deploying)
	if o := command(t, "", []string{"OAAS_URL=" + url}, "deploy", "apply", "store.yaml", "--wait", "--timeout", "200ms"); o.code != 1 ||
		!strings.Contains(o.err, "deployment items is not running yet after 200ms") {
		t.Errorf("%+v", o)
	}
}

// shared is a buffer for a command and its test.
type shared struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *shared) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *shared) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// A list that is watched is shown again when it changes, and only then.
func TestWatch(t *testing.T) {
	url, asked := saying(t, deploying, deploying, runs)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs shared
	done := make(chan int)
	go func() {
		done <- Run(ctx, "oaas", []string{"deploy", "list", "--watch", "-o", "json"},
			Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, lookup([]string{"OAAS_URL=" + url}))
	}()
	for asked.Load() < 4 && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if code := <-done; code != exitInterrupted {
		t.Errorf("exit code %d, %s", code, errs.String())
	}
	want := `[{"condition":"DEPLOYING","key":"items"}]` + "\n" + `[{"condition":"RUNNING","key":"items"}]` + "\n"
	if out.String() != want {
		t.Errorf("got %s", out.String())
	}
}
