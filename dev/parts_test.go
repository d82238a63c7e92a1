package dev

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/odgm/object"
)

func TestActivityKeepsTheNewest(t *testing.T) {
	a := newActivity()
	for range activityKept + 10 {
		a.add(control.Activity{Kind: control.KindCall})
	}
	all, _ := a.since(0)
	if len(all) != activityKept || all[0].Seq != 11 || all[0].Missed != 10 || all[len(all)-1].Seq != activityKept+10 {
		t.Errorf("%d activities from %d, %d missed", len(all), all[0].Seq, all[0].Missed)
	}
	if news, _ := a.since(activityKept + 10); len(news) != 0 {
		t.Errorf("after the newest there is %+v", news)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var got []uint64
	err := a.follow(ctx, nil, activityKept+8, func(n control.Activity) error {
		if got = append(got, n.Seq); len(got) == 2 {
			go a.add(control.Activity{})
		}
		if len(got) == 3 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(got) != 3 || got[2] != activityKept+11 {
		t.Errorf("followed %v, %v", got, err)
	}
	full := errors.New("full")
	if err := a.follow(t.Context(), nil, 0, func(control.Activity) error { return full }); !errors.Is(err, full) {
		t.Errorf("a reader that fails: %v", err)
	}
}

func TestTranslate(t *testing.T) {
	pkg, err := opackage.ParseYAML([]byte(`
name: shop
classes:
  - key: cart
    state_spec: {persistent: true}
    options: {mailbox_limit: "7", result_ttl: 1h}
    sink: default
    function_bindings:
      - {name: add, function_key: fn, state: [total, "item:*"], timeout: 3s, retries: 2, access_modifier: INTERNAL}
      - {name: get, function_key: fn, immutable: true, state: []}
      - {name: calc, function_key: fn, stateless: true}
    triggers:
      - {name: a, on: entry.updated, entry: total, condition: "true", target: {class: alarm, method: ring}}
      - {name: b, on: method.failed, method: add, target: {object: Main, partition: 2, method: add, options: {k: v}}}
      - {name: c, on: entry.deleted, target: {sink: "http://sink.example"}}
    subscriptions:
      - {type: t, source: /s, method: add}
      - {type: u, method: add, object: main}
  - key: alarm
    function_bindings: [{name: ring, function_key: fn}]
functions: [{key: fn, url: "http://f.example"}]
deployments:
  - {key: c, package_name: shop, class_key: cart, odgm: {partition_count: 4, options: {mailbox_limit: "9"}, invocations: {disabled_fn: [get]}}}
  - {key: a, package_name: shop, class_key: alarm}
`))
	if err != nil {
		t.Fatal(err)
	}
	if err := pkg.Validate(); err != nil {
		t.Fatal(err)
	}
	classes, err := Translate(pkg, func(key string) (http.RoundTripper, string) { return newSlot(key), "http://" + key + "/" })
	if err != nil || len(classes) != 2 {
		t.Fatalf("%d classes, %v", len(classes), err)
	}
	c := classes[0]
	if c.Name != "shop.cart" || c.Package != "shop" || c.Partitions != 4 || c.Engine != "pebble" || c.MailboxLimit != 9 || !c.Disabled["get"] || c.Disabled["add"] || c.ResultTTL.Hours() != 1 {
		t.Errorf("class %+v", c)
	}
	add, get, calc := c.Methods["add"], c.Methods["get"], c.Methods["calc"]
	if add.Function != "shop-fn" || add.Timeout.Seconds() != 3 || add.Retries != 2 || add.URL != "http://fn/" || add.Transport == nil ||
		add.State.All || !slices.Equal(add.State.Keys, []string{"total"}) || !slices.Equal(add.State.Prefixes, []string{"item:"}) || c.Access["add"] != "INTERNAL" {
		t.Errorf("method %+v", add)
	}
	if !get.ReadOnly || get.State.All || len(get.State.Keys)+len(get.State.Prefixes) != 0 || !calc.Stateless {
		t.Errorf("methods %+v, %+v", get, calc)
	}
	if alarm := classes[1]; alarm.Engine != "memory" || alarm.Partitions != 1 || !alarm.Methods["ring"].State.All {
		t.Errorf("class %+v", alarm)
	}
	a, b, d := c.Triggers[0], c.Triggers[1], c.Triggers[2]
	if a.On != oprc.EventType_EVENT_TYPE_DATA_UPDATE || a.Entry != "total" || a.Condition != "true" || a.Target.Class != "shop.alarm" ||
		!a.Target.SameObject || !a.Target.ByHash {
		t.Errorf("trigger %v", a)
	}
	if b.On != oprc.EventType_EVENT_TYPE_FUNC_ERROR || b.Method != "add" || b.Target.Class != "shop.cart" || b.Target.SameObject || b.Target.ByHash ||
		b.Target.Partition != 2 || b.Target.Options["k"] != "v" {
		t.Errorf("trigger %v", b)
	}
	if d.On != oprc.EventType_EVENT_TYPE_DATA_DELETE || d.Target.Sink != "http://sink.example" || d.Target.SameObject || d.Target.ByHash {
		t.Errorf("trigger %v", d)
	}
	if s := c.Subscriptions; s[0].ObjectFrom != "subject" || s[0].Source != "/s" || s[1].Object != "main" || s[1].ObjectFrom != "" {
		t.Errorf("subscriptions %+v", s)
	}
	if _, err := object.NormalizeID(b.Target.Object); err != nil {
		t.Errorf("target object: %v", err)
	}
}

func TestSlotWaits(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.URL.Path)) }))
	defer server.Close()
	target, err := newRemote(&opackage.Function{URL: server.URL + "/base"})
	if err != nil {
		t.Fatal(err)
	}
	defer target.CloseIdleConnections()
	send := func(ctx context.Context, s *slot) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://fn/", strings.NewReader("x"))
		if err != nil {
			return err
		}
		resp, err := s.RoundTrip(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	s := newSlot("fn")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := send(ctx, s); fault.CodeOf(err) != fault.Cancelled || !strings.Contains(err.Error(), "still starting") {
		t.Errorf("a caller that gives up: %v", err)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if err := send(t.Context(), s); fault.CodeOf(err) != fault.FunctionUnavailable {
			t.Errorf("a function that does not start: %v", err)
		}
	})
	s.fail(errors.New("exit status 1"))
	waiting.Wait()
	s.fill(target)
	if err := send(t.Context(), s); err != nil {
		t.Errorf("a function that starts later: %v", err)
	}
	s.fail(errors.New("exit status 2"))
	if err := send(t.Context(), s); err != nil {
		t.Errorf("what serves was taken away: %v", err)
	}
}

// syncBuffer is a buffer that several goroutines may use.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestScreen(t *testing.T) {
	function := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer function.Close()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "oaas-package.yaml"), `
name: shop
classes: [{key: cart, function_bindings: [{name: brew, function_key: fn}]}]
functions: [{key: fn, url: "`+function.URL+`"}]
`)
	for name, terminal := range map[string]bool{"terminal": true, "file": false} {
		t.Run(name, func(t *testing.T) {
			var out syncBuffer
			r := openWith(t, Config{
				DataDir: t.TempDir(), Projects: []string{dir}, Version: "v1",
				Screen: &Screen{Out: &out, Terminal: terminal, Width: func() int { return 60 }},
			})
			shows := func(text string) func() bool { return func() bool { return strings.Contains(out.String(), text) } }
			r.eventually("the deployment on the screen", shows("reload   shop"))
			_, _ = r.call("shop.cart", "a", "brew", "")
			r.eventually("the call on the screen", shows("call     shop.cart/a brew  418"))
			if terminal {
				r.eventually("the function below", shows("shop-fn"))
			}
			write(t, filepath.Join(dir, "oaas-package.yaml"), "name: shop\nclasss: []\n")
			r.eventually("the error on the screen", shows(`did you mean "classes"?`))
			r.stop()
			text := out.String()
			for _, want := range []string{"oaas dev v1  ready in ", "gateway  " + r.url, "data     " + r.data, "hint:", "stopping"} {
				if !strings.Contains(text, want) {
					t.Errorf("the screen does not show %q:\n%s", want, text)
				}
			}
			if terminal != strings.Contains(text, "\x1b[") {
				t.Errorf("terminal %v, but:\n%q", terminal, text)
			}
			write(t, filepath.Join(dir, "oaas-package.yaml"), `
name: shop
classes: [{key: cart, function_bindings: [{name: brew, function_key: fn}]}]
functions: [{key: fn, url: "`+function.URL+`"}]
`)
		})
	}
}

// A build command that writes into the source must not build for ever.
func TestBuildThatWritesIntoTheSource(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "run.sh"), "exec python3 -m http.server --bind 127.0.0.1 $PORT\n")
	write(t, filepath.Join(dir, "oaas-package.yaml"), `
name: shop
`+oneClass+`
functions:
  - {key: fn, build: [sh, -c, "date +%s%N > built.txt; echo x >> builds.log"], command: [sh, run.sh]}
`)
	r := open(t, t.TempDir(), dir)
	deployed := func() int {
		n := 0
		for line := range strings.Lines(r.past()) {
			if strings.Contains(line, "deployed from") {
				n++
			}
		}
		return n
	}
	r.eventually("first deployment", func() bool { return deployed() == 1 })
	builds := func() int {
		text, err := os.ReadFile(filepath.Join(dir, "builds.log"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "x")
	}
	before := builds()
	write(t, filepath.Join(dir, "new.txt"), "changed")
	r.eventually("second deployment", func() bool { return deployed() == 2 })
	// The watcher has looked at what the second build wrote before a third change is deployed.
	write(t, filepath.Join(dir, "new.txt"), "changed again")
	r.eventually("third deployment", func() bool { return deployed() == 3 })
	if n := builds() - before; n > 3 {
		t.Errorf("%d builds for two changes", n)
	}
}

func TestWarningsAreTold(t *testing.T) {
	var text bytes.Buffer
	a := newActivity()
	log := telling(slog.New(slog.NewTextHandler(&text, nil)), a).With("class", "shop.cart")
	log.Debug("nobody wants to know")
	log.Info("all is well")
	log.WithGroup("g").Error("disk full", "path", "/data")
	told, _ := a.since(0)
	if len(told) != 1 || told[0].Kind != control.KindError || told[0].Message != "disk full class=shop.cart path=/data" {
		t.Errorf("told %+v", told)
	}
	if got := text.String(); strings.Contains(got, "nobody") || !strings.Contains(got, "all is well") || !strings.Contains(got, "g.path=/data") {
		t.Errorf("logged %s", got)
	}
	telling(slog.New(slog.DiscardHandler), a).Warn("seen all the same")
	if told, _ := a.since(1); len(told) != 1 {
		t.Errorf("told %+v", told)
	}
}
