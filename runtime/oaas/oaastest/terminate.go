//go:build !windows

package oaastest

import (
	"os"
	"syscall"
)

// terminate sends SIGTERM.
func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
