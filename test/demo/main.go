// Command demo walks through the main job of the platform as a user would type it: it starts `oaas dev`, makes a project from a template, deploys and calls it,
// sees its state and the effect of its trigger, kills the platform and starts it again, and sees the function scale to zero and come back.
//
// It prints each command with its real output and its time, leaves nothing running and nothing on disk, and exits with 1 as soon as something is not
// as it should be, saying what was expected and what was seen.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	oaas := flag.String("oaas", "bin/oaas", "the oaas program")
	template := flag.String("template", "go", "the template to start from")
	keep := flag.Bool("keep", false, "leave the folder with project and data")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *oaas, *template, *keep)
	stop()
	switch {
	case err == nil:
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "\ninterrupted; everything is stopped")
		os.Exit(130)
	default:
		fmt.Fprintf(os.Stderr, "\ndemo failed: %v\n", err)
		os.Exit(1)
	}
}

// run does the walk in a temporary folder.
func run(ctx context.Context, oaas, template string, keep bool) (err error) {
	program, err := filepath.Abs(oaas)
	if err != nil {
		return err
	}
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("%w; build it first: make build", err)
	}
	dir, err := os.MkdirTemp("", "oaas-demo-")
	if err != nil {
		return err
	}
	if keep {
		fmt.Println("folder:", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	w, err := newWalk(program, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	begun := time.Now()
	if err := w.tour(ctx, template); err != nil {
		return errors.Join(err, w.platformLog())
	}
	fmt.Printf("\nall of it took %s; everything is stopped\n", time.Since(begun).Round(100*time.Millisecond))
	return nil
}
