package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/dev/control"
)

// serve gives a client of a platform that answers as handler does.
func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	c, err := New(s.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestNewRefuses(t *testing.T) {
	for _, base := range []string{"", "127.0.0.1:8080", "localhost", "ftp://x", "http://", "://", "http://a b"} {
		if _, err := New(base); err == nil {
			t.Errorf("%q was taken as an address", base)
		}
	}
}

func TestPathsAreEscaped(t *testing.T) {
	var got string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.RequestURI
		_, _ = io.WriteString(w, `{}`)
	})
	if _, _, _, err := c.Entries(t.Context(), Ref{Class: "a/b.c", ID: "x?y#z"}, Page{Prefix: "p&q", Limit: 3, Cursor: "+/"}); err != nil {
		t.Fatal(err)
	}
	if want := "/api/class/a%2Fb.c/_/objects/x%3Fy%23z/entries?cursor=%2B%2F&limit=3&prefix=p%26q"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		status       int
		header, body string
		code, text   string
	}{
		"platform":        {404, "", `{"error":{"code":"NO_OBJECT","message":"none"}}`, "NO_OBJECT", "none"},
		"function, JSON":  {409, "FUNCTION_ERROR", `{"error":{"code":"X","message":"full"}}`, "FUNCTION_ERROR", "the function answered 409: full"},
		"function, text":  {500, "FUNCTION_ERROR", "boom\n", "FUNCTION_ERROR", "the function answered 500: boom"},
		"somebody else":   {502, "", "<html>", "", "<html>"},
		"nothing":         {500, "", "", "", "the platform answered 500 Internal Server Error"},
		"half an answer":  {500, "", `{"error":`, "", `{"error":`},
		"error is string": {500, "", `{"error":"x"}`, "", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			cl := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.header != "" {
					w.Header().Set("Oaas-Error", c.header)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			_, err := cl.Object(t.Context(), Ref{Class: "a.b", ID: "x"})
			f, ok := errors.AsType[*Failure](err)
			if !ok || f.Status != c.status || f.Code != c.code || f.Error() != c.text {
				t.Errorf("got %#v, want %d %s %q", err, c.status, c.code, c.text)
			}
			if IsNotFound(err) != (c.status == 404) {
				t.Errorf("IsNotFound of %v", err)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	c, err := New("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Classes(t.Context()); !isUnreachable(err) {
		t.Errorf("got %v", err)
	}
	gone := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if _, err := gone.Classes(t.Context()); !isUnreachable(err) {
		t.Errorf("a connection that was closed: %v", err)
	}
}

func isUnreachable(err error) bool {
	_, ok := errors.AsType[*Unreachable](err)
	return ok
}

func TestContextEndsCalls(t *testing.T) {
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	cause := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, cause)
	defer cancel()
	if _, err := c.Invoke(ctx, Call{Ref: Ref{Class: "a.b"}, Method: "m"}); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause of the context", err)
	}
}

func TestStreams(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"done":          {`{"step":"build"}` + "\n\n" + `{"done":true,"package":"p"}` + "\n", ""},
		"refused":       {`{"error":{"code":"X","message":"no"}}` + "\n", "no"},
		"cut off":       {`{"step":"build"}` + "\n", "without a result"},
		"half a line":   {`{"step":`, "unexpected end"},
		"another thing": {"<html>\n", "invalid character"},
		"a huge line":   {strings.Repeat("x", maxLine+1), "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			cl := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.body) })
			last, err := cl.Deploy(t.Context(), "/x", func(control.Progress) {})
			if c.want == "" && (err != nil || last.Package != "p") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %+v, %v; want %q", last, err, c.want)
			}
		})
	}
}

func TestTag(t *testing.T) {
	for text, want := range map[string]uint64{`"7"`: 7, `W/"8"`: 8, "9": 9, "": 0, `"x"`: 0, `"-1"`: 0} {
		if got := tag(text); got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
	}
}
