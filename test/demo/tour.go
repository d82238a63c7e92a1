package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"
)

const (
	class  = "hello.counter"
	audit  = "hello.audit"
	object = "alice"
	fn     = "hello-main"
)

// Limits of how long is waited for what takes its time.
const (
	soon = 20 * time.Second
	// zero is long enough for the window of the template (6 s), the grace period (1 s) and the rhythm of the autoscaler.
	zero = 60 * time.Second
)

// tour is the walk itself.
func (w *walk) tour(ctx context.Context, template string) error {
	for _, step := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"The whole platform, in one process", w.startPlatform},
		{"A project from a template: a class with state, methods and a trigger", func(ctx context.Context) error {
			return w.oaas(ctx, "created hello", "func", "create", "hello", "-t", template)
		}},
		{"Build it and deploy it", func(ctx context.Context) error {
			return w.oaas(ctx, "deployed hello", "func", "deploy", "hello")
		}},
		{"Call a method of an object", func(ctx context.Context) error {
			return w.oaas(ctx, `"count":2`, "invoke", class, object, "add", "--data", `{"by":2}`)
		}},
		{"Its state is kept", func(ctx context.Context) error {
			return w.oaas(ctx, "count  2", "object", "get", class, object)
		}},
		{"The change has fired a trigger, which has called another object", func(ctx context.Context) error {
			return w.eventually(ctx, soon, "changes  1", "object", "get", audit, object)
		}},
		{"Plain HTTP does it too; here a CloudEvent, sent twice, which counts once", w.cloudEvent},
		{"Kill the platform the hard way, and start it again", w.killPlatform},
		{"Everything is still there: the class, the object, and the trigger's effect", func(ctx context.Context) error {
			if err := w.oaas(ctx, "count  5", "object", "get", class, object); err != nil {
				return err
			}
			return w.eventually(ctx, soon, "changes  2", "object", "get", audit, object)
		}},
		{"Nobody calls any more: the function scales to zero (after its window of 6 s)", func(ctx context.Context) error {
			return w.eventually(ctx, zero, "idle", "func", "list")
		}},
		{"The next call starts it again, a cold start", func(ctx context.Context) error {
			return w.oaas(ctx, `"count":6`, "invoke", class, object, "add", "--data", `{"by":1}`)
		}},
		{"Ctrl-C ends it in good order", w.interruptPlatform},
	} {
		fmt.Printf("\n# %s\n", step.title)
		if err := step.do(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%s: %w", strings.ToLower(step.title[:1])+step.title[1:], err)
		}
	}
	return nil
}

func (w *walk) startPlatform(ctx context.Context) error {
	fmt.Printf("$ oaas dev --listen %s --data data --scale-to-zero-grace 1s &\n", w.listen)
	begun := time.Now()
	if err := w.start(); err != nil {
		return err
	}
	if err := w.ready(ctx); err != nil {
		return err
	}
	w.timed(begun)
	fmt.Printf("$ export OAAS_URL=%s\n", w.url())
	return nil
}

func (w *walk) killPlatform(ctx context.Context) error {
	fmt.Printf("$ kill -9 %d\n", w.platform.Process.Pid)
	if err := w.platform.Process.Kill(); err != nil {
		return err
	}
	<-w.ended
	return w.startPlatform(ctx)
}

func (w *walk) interruptPlatform(ctx context.Context) error {
	fmt.Printf("$ kill -INT %d\n", w.platform.Process.Pid)
	begun := time.Now()
	if err := w.platform.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	select {
	case <-w.ended:
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(soon):
		return fmt.Errorf("expected oaas dev to end within %s of Ctrl-C; it still runs", soon)
	}
	w.timed(begun)
	if code := w.platform.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("expected oaas dev to exit with 0; it exited with %d", code)
	}
	return nil
}
