package router

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// native is a session of the native implementation, in a process of Python. The tests with it run when OAAS_INTEROP is 1; OAAS_INTEROP_PYTHON
// names a Python that has the package eclipse-zenoh 1.10, or else python3 must.
type native struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out chan string
	zid string

	skip []string // lines with one of these in them are not looked at
}

func (n *native) skips(line string) bool {
	return slices.ContainsFunc(n.skip, func(part string) bool { return strings.Contains(line, part) })
}

func interop(t *testing.T) {
	t.Helper()
	if os.Getenv("OAAS_INTEROP") != "1" {
		t.Skip("OAAS_INTEROP is not 1")
	}
}

// startNative starts a session with a configuration over some that all have.
func startNative(t *testing.T, mode string, connect []string, more map[string]any) *native {
	t.Helper()
	n := tryNative(t, mode, connect, more)
	n.zid = strings.TrimPrefix(n.next(), "open ")
	return n
}

// refused waits until the process has ended without opening a session.
func (n *native) refused() {
	n.t.Helper()
	select {
	case line, ok := <-n.out:
		if ok {
			n.t.Fatalf("python said %q", line)
		}
	case <-time.After(30 * time.Second):
		n.t.Fatal("python still tries")
	}
}

func tryNative(t *testing.T, mode string, connect []string, more map[string]any) *native {
	t.Helper()
	interop(t)
	config := map[string]any{"mode": mode, "connect/endpoints": append([]string{}, connect...), "listen/endpoints": []string{}, "scouting/multicast/enabled": false}
	for k, v := range more {
		config[k] = v
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	python := orDefault(os.Getenv("OAAS_INTEROP_PYTHON"), "python3")
	n := &native{t: t, cmd: exec.CommandContext(t.Context(), python, "testdata/native.py", string(text)), out: make(chan string, 10_000)}
	n.cmd.Stderr = os.Stderr
	if n.in, err = n.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(n.out)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			n.out <- lines.Text()
		}
	})
	t.Cleanup(func() {
		_ = n.cmd.Process.Signal(syscall.SIGCONT)
		_ = n.in.Close()
		reading.Wait()
		_ = n.cmd.Wait()
	})
	return n
}

func (n *native) next() string {
	n.t.Helper()
	for deadline := time.After(30 * time.Second); ; {
		select {
		case line, ok := <-n.out:
			if !ok {
				n.t.Fatal("python ended")
			}
			if !n.skips(line) {
				return line
			}
		case <-deadline:
			n.t.Fatal("python is silent")
		}
	}
}

// do tells the session what to do and waits until it is done. It expects these lines meanwhile.
func (n *native) do(command []any, want ...string) {
	n.t.Helper()
	n.tell(command...)
	n.expect(append(want, fmt.Sprint("done ", command[0]))...)
}

func (n *native) tell(command ...any) {
	n.t.Helper()
	b, err := json.Marshal(command)
	if err != nil {
		n.t.Fatal(err)
	}
	if _, err := n.in.Write(append(b, '\n')); err != nil {
		n.t.Fatal(err)
	}
}

// expect expects these lines next, in this order.
func (n *native) expect(want ...string) {
	n.t.Helper()
	for _, w := range want {
		if got := n.next(); got != w {
			n.t.Fatalf("python said %q, want %q", got, w)
		}
	}
}

// do is a command.
func do(words ...any) []any { return words }

func TestInteropSessionsOnOurRouter(t *testing.T) { // rows 1 to 4, 8, 14, 16, 18
	interop(t)
	for _, modes := range [][2]string{{"client", "client"}, {"client", "peer"}, {"peer", "peer"}} {
		t.Run(modes[0]+" "+modes[1], func(t *testing.T) {
			r := start(t, Config{})
			small := map[string]any{"transport/link/tx/batch_size": 2048}
			a, b := startNative(t, modes[0], r.Locators(), nil), startNative(t, modes[1], r.Locators(), small)
			talk(t, a, b)
		})
	}
}

// talk has two native sessions do all that sessions do with each other, on one router or on two.
func talk(t *testing.T, a, b *native) {
	t.Helper()
	a.do(do("sub", "fence/**"))
	b.do(do("sub", "fence/**"))
	fences := 0
	known := func(of, to *native) { // what one declared is known on the way to the other: it goes before what is published
		t.Helper()
		fences++
		carries(of, to, "fence/**", fmt.Sprint("fence/", fences))
	}
	b.do(do("sub", "demo/**"))
	known(b, a)
	for _, size := range []int{1, 1000, 70_000, 5_000_000, 16 << 20} {
		a.do(do("put", "demo/a", size))
		text := fmt.Sprintf("(%d bytes)", size)
		if size == 1 {
			text = "0"
		}
		b.expect("sample demo/** PUT demo/a " + text + " stamped")
	}
	a.do(do("delete", "demo/a"))
	b.expect("sample demo/** DELETE demo/a  stamped")
	a.do(do("sub", "back/*"))
	known(a, b)
	b.do(do("put", "back/x", 1, 200))
	for i := range 200 {
		a.expect(fmt.Sprintf("sample back/* PUT back/x %d stamped", i))
	}

	a.do(do("pub", "filter/x"), "matching now False")
	b.do(do("sub", "filter/**"))
	a.expect("matching True")
	a.do(do("put", "filter/x", 1))
	b.expect("sample filter/** PUT filter/x 0 stamped")
	b.do(do("unsub", "filter/**"))
	a.expect("matching False")

	a.do(do("get", "q/none", "best", 0), "replies")
	b.do(do("qabl", "q/**", true, "q/1", "q/2", "error"))
	known(b, a)
	for _, target := range []string{"best", "all", "complete"} {
		a.do(do("get", "q/*", target, 0), "replies error=oops q/1=q/1 q/2=q/2")
	}
	b.do(do("qabl", "large", true, 3_000_000))
	known(b, a)
	a.do(do("get", "large", "best", 2_000_000), "replies large=(3000000 bytes)")

	b.do(do("token", "live/b"))
	known(b, a)
	a.do(do("live", "live/**"), "alive live/b")
	a.tell("watch", "live/**", true)
	heard := []string{a.next(), a.next()}
	if !slices.Contains(heard, "token PUT live/b") {
		t.Fatalf("python said %q", heard)
	}
	b.do(do("token", "live/c"))
	a.expect("token PUT live/c")
	b.do(do("untoken", "live/b"))
	a.expect("token DELETE live/b")
	if err := b.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	a.expect("token DELETE live/c")
	a.do(do("live", "live/**"), "alive")
}

// carries publishes on a key of its own until something arrives: declarations travel through native nodes, which do not tell when they know
// them. What else comes on that key counts for nothing.
func carries(from, to *native, sub, key string) {
	from.t.Helper()
	want := fmt.Sprintf("sample %s PUT %s 0 ", sub, key)
	from.skip = append(from.skip, " "+key+" ") // it may hear itself
	defer func() { to.skip = append(to.skip, " "+key+" ") }()
	for range 100 {
		from.do(do("put", key, 1))
		for soon, waiting := time.After(200*time.Millisecond), true; waiting; {
			select {
			case line := <-to.out:
				switch {
				case strings.HasPrefix(line, want):
					return
				case !to.skips(line):
					from.t.Fatalf("python said %q, want %q", line, want)
				}
			case <-soon:
				waiting = false
			}
		}
	}
	from.t.Fatalf("nothing arrives on %s", key)
}

func TestInteropMesh(t *testing.T) {
	interop(t)
	for _, ours := range []string{"a", "b"} {
		t.Run("our side has "+ours, func(t *testing.T) {
			endpoint := freeEndpoint(t)
			startNative(t, "router", nil, map[string]any{"listen/endpoints": []string{endpoint}})
			r := start(t, Config{Connect: []string{endpoint}, Backoff: quick})
			connected(t, r, 1)
			places := map[string][]string{"a": {endpoint}, "b": {endpoint}}
			places[ours] = r.Locators()
			a, b := startNative(t, "client", places["a"], nil), startNative(t, "client", places["b"], nil)
			talk(t, a, b)
		})
	}
}

func TestInteropMeshOfTwoNativeRouters(t *testing.T) { // two ways into one mesh: each sample comes once, and one way is enough
	interop(t)
	one, two := freeEndpoint(t), freeEndpoint(t)
	startNative(t, "router", nil, map[string]any{"listen/endpoints": []string{one}})
	second := startNative(t, "router", []string{one}, map[string]any{"listen/endpoints": []string{two}})
	var log logged
	r := start(t, Config{Connect: []string{two, one}, Backoff: quick, Logger: logTo(&log)})
	await(t, r, func(Statistics) bool { return r.carrying() == 1 && strings.Contains(log.String(), "stands by") })
	far, near := startNative(t, "client", []string{one}, nil), startNative(t, "client", r.Locators(), nil)
	near.do(do("sub", "m/**"))
	far.do(do("sub", "f/**"))
	await(t, r, func(s Statistics) bool { return s.Subscribers == 2 })
	carries(far, near, "m/**", "m/1")
	carries(near, far, "f/**", "f/1")
	far.do(do("put", "m/2", 1, 3))
	near.expect("sample m/** PUT m/2 0 stamped", "sample m/** PUT m/2 1 stamped", "sample m/** PUT m/2 2 stamped")
	if err := second.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	await(t, r, func(Statistics) bool { return strings.Count(log.String(), "uplink carries") == 2 && r.carrying() == 1 })
	carries(far, near, "m/**", "m/3")
	carries(near, far, "f/**", "f/3")
}

func TestInteropRow16LinkedPeers(t *testing.T) {
	interop(t)
	r := start(t, Config{})
	direct := freeEndpoint(t)
	a := startNative(t, "peer", r.Locators(), map[string]any{"listen/endpoints": []string{direct}})
	b := startNative(t, "peer", []string{r.Locators()[0], direct}, nil)
	await(t, r, func(s Statistics) bool { return s.Sessions == 2 })
	b.do(do("sub", "k/**"))
	a.do(do("sub", "k/**"))
	await(t, r, func(s Statistics) bool { return s.Subscribers == 1 })
	await(t, r, func(Statistics) bool { // both have told of their link to each other
		r.mu.Lock()
		defer r.mu.Unlock()
		told := 0
		for f := range r.faces {
			for g := range r.faces {
				if _, there := f.links[g.peer.ZID]; there {
					told++
				}
			}
		}
		return told == 2
	})
	carries(a, b, "k/**", "k/before") // what each declared travels on their own link, when it does
	a.tell("put", "k/a", 1, 5)
	for i := range 5 {
		if line, want := b.next(), fmt.Sprintf("sample k/** PUT k/a %d ", i); !strings.HasPrefix(line, want) {
			t.Fatalf("python said %q, want %q once", line, want)
		}
	}
	c := dial(t, r, transport.Config{})
	c.say(sub(1, "k/b"))
	await(t, r, func(s Statistics) bool { return s.Sessions == 3 })
	c.sync()
	b.tell("put", "k/b", 1) // and it hears that itself
	c.hears("put k/b 0")
}

func TestInteropRow12FrozenClient(t *testing.T) {
	interop(t)
	var log logged
	r := start(t, Config{Logger: logTo(&log), Transport: transport.Config{Lease: time.Second}})
	watcher := dial(t, r, transport.Config{})
	watcher.say(interestIn(1, wire.InterestFuture, wire.InterestTokens, "live/**"))
	watcher.sync()
	frozen := startNative(t, "client", r.Locators(), map[string]any{"transport/link/tx/lease": 1000})
	frozen.do(do("token", "live/frozen"))
	watcher.hears("token 1 live/frozen")
	if err := frozen.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	watcher.hears("no token 1")
	await(t, r, func(Statistics) bool { return strings.Contains(log.String(), "lease expired") })
	if err := frozen.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	watcher.hears("token 2 live/frozen") // it came back under the same id
	await(t, r, func(s Statistics) bool { return s.Sessions == 2 })
}

func TestInteropRow05QueryableDies(t *testing.T) {
	interop(t)
	r := start(t, Config{})
	a, b := startNative(t, "client", r.Locators(), nil), startNative(t, "client", r.Locators(), nil)
	b.do(do("qabl", "q", true, "hang"))
	await(t, r, func(s Statistics) bool { return s.Queryables == 1 })
	a.tell("get", "q", "best", 0)
	b.expect("asked q")
	if err := b.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	a.expect("replies", "done get")
}

func TestInteropRow17Users(t *testing.T) {
	interop(t)
	r := start(t, Config{Transport: transport.Config{PasswordOf: func(u string) (string, bool) { return "secret", u == "alice" }}})
	a := startNative(t, "client", r.Locators(), map[string]any{"transport/auth/usrpwd/user": "alice", "transport/auth/usrpwd/password": "secret"})
	a.do(do("live", "**"), "alive")
	f := 0
	r.mu.Lock()
	for g := range r.faces {
		if g.peer.User == "alice" {
			f++
		}
	}
	r.mu.Unlock()
	if f != 1 {
		t.Errorf("%d sessions of alice", f)
	}
}

func TestInteropRow18AdminSpace(t *testing.T) {
	interop(t)
	r := start(t, Config{AdminSpace: true})
	a := startNative(t, "client", r.Locators(), nil)
	a.do(do("sub", "k"))
	await(t, r, func(s Statistics) bool { return s.Subscribers == 1 })
	root := "@/" + r.ZID().String() + "/router"
	want := []string{root, root + "/linkstate/routers", root + "/metrics", root + "/queryable/" + root + "/**",
		root + "/session/transport/unicast/" + a.zid, root + "/subscriber/k"}
	slices.Sort(want)
	a.tell("admin")
	got := strings.Fields(a.next())[1:]
	for _, w := range want {
		if !slices.Contains(got, w) && !strings.Contains(w, "/queryable/@") { // the key of the last has two verbatim chunks
			t.Errorf("no %s in %q", w, got)
		}
	}
}
