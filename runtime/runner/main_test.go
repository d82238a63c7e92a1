package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roleVariable makes the test binary a function; its value says which.
const roleVariable = "TEST_ROLE"

func TestMain(m *testing.M) {
	MaybeRunGuard()
	if role := os.Getenv(roleVariable); role != "" {
		play(role)
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"), // theirs, for ever
		goleak.IgnoreTopFunction("knative.dev/pkg/metrics.(*metricsWorker).start"))
}

// play is the life of the test binary as a function.
func play(role string) {
	switch role {
	case "serve":
		serve(nil)
	case "stubborn": // does not obey SIGTERM
		signal.Ignore(syscall.SIGTERM)
		serve(nil)
	case "polite": // tells that it got SIGTERM
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		go serve(nil)
		<-stop
		must(os.WriteFile(os.Getenv("MARKER"), []byte("term"), 0o600))
	case "moody": // does not start while a file is there
		if _, err := os.Stat(os.Getenv("MARKER")); err == nil {
			fmt.Println("the moon is wrong")
			fmt.Fprintln(os.Stderr, "panic: no luck today")
			os.Exit(3)
		}
		serve(nil)
	case "mute": // never listens
		fmt.Println("I have nothing to say")
		select {}
	case "family": // has a child in another session
		serve(spawn("sleeper"))
	case "sleeper":
		time.Sleep(time.Hour)
	case "platform":
		platform()
	default:
		panic("unknown role " + role)
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// spawn starts this program in another role, in a session of its own.
func spawn(role string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.SysProcAttr = guardAttributes()
	must(cmd.Start())
	return cmd
}

// platform is a program with a runner, to be killed: it prints the ids of its function and of its function's child.
func platform() {
	r, err := New(Config{})
	must(err)
	f, err := r.Deploy(context.Background(), Spec{Name: "f", Command: []string{os.Args[0]}, Env: map[string]string{roleVariable: "family"}})
	must(err)
	req, err := http.NewRequest(http.MethodGet, "http://f/family", nil)
	must(err)
	resp, err := f.RoundTrip(req)
	must(err)
	ids, err := io.ReadAll(resp.Body)
	must(err)
	fmt.Println(string(ids))
	select {}
}

// serve is a function with paths for everything that tests ask of one.
func serve(child *exec.Cmd) {
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	must(err)
	s := &server{child: child, listener: l}
	h := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols)}
	h.Protocols.SetHTTP1(true)
	h.Protocols.SetUnencryptedHTTP2(true)
	if err := h.Serve(l); errors.Is(err, net.ErrClosed) {
		time.Sleep(time.Hour) // deaf: the process goes on, as one does that shuts down slowly
	}
}

type server struct {
	child    *exec.Cmd
	listener net.Listener
	present  atomic.Int64
	mu       sync.Mutex
	peak     int64
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.present.Add(1)
	defer s.present.Add(-1)
	s.mu.Lock()
	s.peak = max(s.peak, n)
	s.mu.Unlock()
	query := r.URL.Query()
	switch r.URL.Path {
	case "/env":
		_ = json.NewEncoder(w).Encode(os.Environ())
	case "/trailer": // as gRPC answers
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = io.WriteString(w, r.Proto+" "+os.Getenv("HTTP_PORT")+" "+os.Getenv("PORT"))
		w.Header().Set("Grpc-Status", "0")
	case "/host":
		_, _ = io.WriteString(w, r.Host)
	case "/pid":
		_, _ = io.WriteString(w, strconv.Itoa(os.Getpid()))
	case "/family":
		_, _ = fmt.Fprintf(w, "%d %d", os.Getpid(), s.child.Process.Pid)
	case "/peak":
		_, _ = io.WriteString(w, strconv.FormatInt(s.peak, 10))
	case "/echo":
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	case "/revision":
		_, _ = io.WriteString(w, os.Getenv("K_REVISION"))
	case "/hold": // until a file is there
		for {
			if _, err := os.Stat(query.Get("file")); err == nil {
				return
			}
			if r.Context().Err() != nil {
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
	case "/print":
		fmt.Println(query.Get("text"))
	case "/exit":
		fmt.Println("about to exit")
		os.Exit(7)
	case "/deaf": // no connections any more
		_ = s.listener.Close()
		w.Header().Set("Connection", "close")
	case "/upgrade":
		s.upgrade(w)
	}
}

// upgrade leaves HTTP and sends back in capitals what it reads.
func (s *server) upgrade(w http.ResponseWriter) {
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer discard(conn)
	_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n")
	_ = rw.Flush()
	line, err := rw.ReadString('\n')
	if err == nil {
		_, _ = rw.WriteString(strings.ToUpper(line))
		_ = rw.Flush()
	}
}

// patience is how long tests wait for what must come; it is long because the machine may be busy.
const patience = 60 * time.Second

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// newRunner makes a runner that is closed, and has left nothing, at the end of the test.
func newRunner(t testing.TB, config Config) *Runner {
	t.Helper()
	r, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// role makes the spec of a test function.
func role(name, role string, env ...string) Spec {
	s := Spec{Name: name, Command: []string{os.Args[0]}, Env: map[string]string{roleVariable: role}}
	for n := 0; n < len(env); n += 2 {
		s.Env[env[n]] = env[n+1]
	}
	return s
}

func deploy(t testing.TB, r *Runner, s Spec) *Function {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	f, err := r.Deploy(ctx, s)
	if err != nil {
		t.Fatalf("deploy %s: %v", s.Name, err)
	}
	return f
}

// call does one request and gives the body.
func call(ctx context.Context, f *Function, path string, body io.Reader) (string, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://somewhere.invalid"+path, body)
	if err != nil {
		return "", err
	}
	resp, err := f.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer discard(resp.Body)
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(text), err
}

func mustCall(t testing.TB, f *Function, path string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	text, err := call(ctx, f, path, nil)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return text
}

// recorder collects events.
type recorder struct {
	mu     sync.Mutex
	events []Event
}

func (rec *recorder) add(e Event) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.events = append(rec.events, e)
}

// of gives the events of a kind.
func (rec *recorder) of(kind EventKind) []Event {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	var some []Event
	for _, e := range rec.events {
		if e.Kind == kind {
			some = append(some, e)
		}
	}
	return some
}

// fastClock runs faster than the system's, so that Knative's windows, which are seconds long, pass in less.
type fastClock struct {
	start time.Time
	speed time.Duration
}

func newFastClock(speed time.Duration) fastClock { return fastClock{start: time.Now(), speed: speed} }

func (c fastClock) Now() time.Time { return c.start.Add(time.Since(c.start) * c.speed) }

func (c fastClock) Tick(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(d / c.speed)
	return t.C, t.Stop
}

// alive tells whether a process exists and is not a zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return len(rest) > 0 && rest[0] != 'Z' && rest[0] != 'X'
}
