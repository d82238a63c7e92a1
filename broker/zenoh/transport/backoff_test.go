package transport

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff(t *testing.T) {
	for _, tt := range []struct {
		backoff Backoff
		want    []time.Duration
	}{
		{Backoff{}, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second}},
		{Backoff{Initial: 10, Max: 25, Factor: 1.5}, []time.Duration{10, 15, 22, 25, 25}},
		{Backoff{Initial: 10, Factor: 0.1}, []time.Duration{10, 10}},
		{Backoff{Initial: 10, Max: 5}, []time.Duration{5, 5}},
	} {
		for range 2 {
			for i, want := range tt.want {
				if got := tt.backoff.Next(); got != want {
					t.Errorf("%+v: pause %d: got %v, want %v", tt.backoff, i, got, want)
				}
			}
			tt.backoff.Reset()
		}
	}
}

func TestBackoffWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Backoff
		start := time.Now()
		for range 3 {
			if err := b.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if got := time.Since(start); got != 7*time.Second {
			t.Errorf("got %v", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
