package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestEveryCodeHasStatuses(t *testing.T) {
	for _, code := range Codes() {
		e := New(code, "x")
		if s := e.HTTPStatus(); s < 400 || s > 599 {
			t.Errorf("%s has HTTP status %d", code, s)
		}
		if s := e.GRPCStatus(); s < 1 || s > 16 {
			t.Errorf("%s has gRPC status %d", code, s)
		}
	}
}

func TestFunctionErrorKeepsItsStatus(t *testing.T) {
	e := New(FunctionError, "no")
	for status, want := range map[int]int{422: 422, 503: 503, 0: 502, 200: 502, 999: 502} {
		e.Status = status
		if got := e.HTTPStatus(); got != want {
			t.Errorf("function status %d gives %d, want %d", status, got, want)
		}
	}
}

func TestFrom(t *testing.T) {
	busy := New(Busy, "full")
	for _, c := range []struct {
		err  error
		want Code
	}{
		{nil, ""},
		{busy, Busy},
		{fmt.Errorf("call: %w", busy), Busy},
		{errors.Join(errors.New("x"), busy), Busy},
		{fmt.Errorf("read: %w", context.DeadlineExceeded), DeadlineExceeded},
		{context.Canceled, Cancelled},
		{errors.New("x"), Internal},
	} {
		if got := CodeOf(c.err); got != c.want {
			t.Errorf("code of %v is %q, want %q", c.err, got, c.want)
		}
	}
}

func TestWrapKeepsTheCause(t *testing.T) {
	cause := errors.New("disk is gone")
	err := Wrap(Internal, cause, "commit %d", 7)
	if !errors.Is(err, cause) || !strings.HasSuffix(err.Error(), "commit 7: disk is gone") {
		t.Errorf("got %v", err)
	}
}
