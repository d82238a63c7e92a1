package runner

import (
	"os"
	"syscall"
)

// childAttributes keeps Ctrl-C of the console from the child.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// reap waits for the child.
func (p *process) reap() error {
	err := p.cmd.Wait()
	p.ended.Store(true)
	return err
}

// askToEnd kills: Windows has no SIGTERM.
func askToEnd(pid int) { killGroup(pid) }

// killGroup kills the child. A child that is gone already is no failure.
func killGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}

// guardAttributes keeps Ctrl-C of the console from the guard.
func guardAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
