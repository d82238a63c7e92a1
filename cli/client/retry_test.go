package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// refusing answers so many times with a status, and then well.
func refusing(t *testing.T, times int32, status int) (*Client, *atomic.Int32) {
	var asked atomic.Int32
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) <= times {
			w.WriteHeader(status)
		}
		_, _ = io.WriteString(w, `{}`)
	})
	return c, &asked
}

func TestRetries(t *testing.T) {
	for name, c := range map[string]struct {
		status, retries int
		call            func(*Client) error
		asked           int32
		ok              bool
	}{
		"a read":                {503, 2, read, 3, true},
		"too many requests":     {429, 2, read, 3, true},
		"not often enough":      {503, 1, read, 2, false},
		"for good":              {404, 5, read, 1, false},
		"none asked for":        {503, 0, read, 1, false},
		"a call":                {503, 5, invoke(""), 1, false},
		"a call with a key":     {503, 2, invoke("k"), 3, true},
		"a document is created": {503, 5, post, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			cl, asked := refusing(t, 2, c.status)
			cl.Retries = c.retries
			if err := c.call(cl); (err == nil) != c.ok || asked.Load() != c.asked {
				t.Errorf("%v after %d requests", err, asked.Load())
			}
		})
	}
}

func read(c *Client) error { _, err := c.Manager(context.Background(), nil, "packages"); return err }

func post(c *Client) error { _, err := c.ManagerPost(context.Background(), 1, "packages"); return err }

func invoke(key string) func(*Client) error {
	return func(c *Client) error {
		_, err := c.Invoke(context.Background(), Call{Ref: Ref{Class: "a.b"}, Method: "m", Key: key})
		return err
	}
}

func TestRetriesEndWithTheContext(t *testing.T) {
	cl, _ := refusing(t, 1000, 503)
	cl.Retries = 1000
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := cl.Manager(ctx, nil, "packages")
	if _, ok := errors.AsType[*Failure](err); !ok && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestManagerAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		body, want string
		fails      bool
	}{
		"a document": {200, `[1]`, "[1]", false}, "nothing": {204, "", "null", false}, "no JSON": {200, "<html>", "", true},
		"its error": {404, `{"error":"Package not found: x"}`, "", true},
	} {
		cl := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		raw, err := cl.ManagerDelete(t.Context(), "packages", "x")
		if (err != nil) != c.fails || string(raw) != c.want {
			t.Errorf("%s: %s, %v", name, raw, err)
		}
		if f, ok := errors.AsType[*Failure](err); ok && (f.Message != "Package not found: x" || string(f.Body) != c.body) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
