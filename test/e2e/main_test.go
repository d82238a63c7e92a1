// Package e2e tests the platform as its users meet it: the real binary, real `oaas dev` processes on free ports with data folders of their own,
// and nothing but HTTP, the command line and kill -9. What one package can show by itself is tested there.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// binary is the program under test, worker the function that most projects here run.
var binary, worker string

// root is the folder of the module.
var root, _ = filepath.Abs("../..")

func TestMain(m *testing.M) { os.Exit(run(m)) }

// given names a binary to test instead of one that is built here, such as one with the race detector.
var given = flag.String("oaas", "", "test this `binary` instead of building one")

func run(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "oaas-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder of temporary files
	binary, worker = filepath.Join(dir, "oaas"), filepath.Join(dir, "worker")
	sources := map[string]string{binary: "./cmd/oaas", worker: "./test/e2e/function"}
	if *given != "" {
		delete(sources, binary)
		if err := os.Symlink(*given, binary); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	for output, source := range sources {
		if err := build(output, source); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// build compiles as make build does, so that the build cache serves both.
func build(output, source string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", output, source)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", source, err, out)
	}
	return nil
}
