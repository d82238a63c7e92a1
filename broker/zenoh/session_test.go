package zenoh

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// must gives a result, and ends the test if there is an error in its place.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// next gives what comes next.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-c:
		if !ok {
			t.Fatal("the channel is closed")
		}
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	panic("unreachable")
}

func openSession(t *testing.T, config Config) *Session {
	t.Helper()
	s, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func openClient(t *testing.T, endpoint string) *Session {
	t.Helper()
	return openSession(t, Config{Mode: Client, Connect: ConnectConfig{Endpoints: []string{endpoint}}})
}

// settle waits until a router knows what the session has declared.
func settle(t *testing.T, s *Session) {
	t.Helper()
	for r := range must(s.Liveliness().Get(t.Context(), MustKeyExpr("nobody/has/this/token"), nil, nil))(t) {
		t.Fatalf("got %+v", r)
	}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
