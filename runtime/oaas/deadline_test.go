package oaas

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hpcclab/oaas-go/api/function"
)

// The context of a call behaves as context.WithDeadline does, whenever it is looked at first.
func TestDeadline(t *testing.T) {
	type key struct{}
	outer := context.WithValue(t.Context(), key{}, "v")
	made := func(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
		return contextOf(httptest.NewRequest("POST", "/", nil).WithContext(ctx), &function.Meta{Deadline: time.Now().Add(after)})
	}
	t.Run("passes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, release := made(t.Context(), time.Minute)
			defer release()
			if ctx.Err() != nil {
				t.Error(ctx.Err())
			}
			<-ctx.Done()
			if ctx.Err() != context.DeadlineExceeded || context.Cause(ctx) != context.DeadlineExceeded {
				t.Errorf("%v, because of %v", ctx.Err(), context.Cause(ctx))
			}
		})
	})
	t.Run("has passed", func(t *testing.T) {
		ctx, release := made(outer, -time.Second)
		defer release()
		if ctx.Err() != context.DeadlineExceeded {
			t.Error(ctx.Err())
		}
	})
	t.Run("given up", func(t *testing.T) {
		why := errors.New("gone")
		request, giveUp := context.WithCancelCause(outer)
		ctx, release := made(request, time.Hour)
		defer release()
		giveUp(why)
		<-ctx.Done()
		if ctx.Err() != context.Canceled || context.Cause(ctx) != why {
			t.Errorf("%v, because of %v", ctx.Err(), context.Cause(ctx))
		}
	})
	t.Run("looked at before its end", func(t *testing.T) {
		ctx, release := made(outer, time.Hour)
		done := ctx.Done()
		release()
		<-done
		if ctx.Err() != context.Canceled || ctx.Value(key{}) != "v" {
			t.Errorf("%v, %v", ctx.Err(), ctx.Value(key{}))
		}
	})
	t.Run("looked at after its end", func(t *testing.T) {
		ctx, release := made(outer, time.Hour)
		release()
		<-ctx.Done()
		if ctx.Err() != context.Canceled || ctx.Value(key{}) != "v" {
			t.Errorf("%v, %v", ctx.Err(), ctx.Value(key{}))
		}
	})
	t.Run("children", func(t *testing.T) {
		ctx, release := made(outer, time.Hour)
		child, cancel := context.WithCancel(ctx)
		defer cancel()
		release()
		<-child.Done()
	})
	t.Run("the request ends earlier", func(t *testing.T) {
		request, cancel := context.WithTimeout(outer, time.Minute)
		defer cancel()
		ctx, release := made(request, time.Hour)
		defer release()
		want, _ := request.Deadline()
		if at, ok := ctx.Deadline(); !ok || !at.Equal(want) {
			t.Errorf("deadline %v, %v", at, ok)
		}
	})
	t.Run("no deadline", func(t *testing.T) {
		ctx, release := contextOf(httptest.NewRequest("POST", "/", nil).WithContext(outer), &function.Meta{})
		defer release()
		if ctx != outer {
			t.Error("it is not the context of the request")
		}
	})
}
