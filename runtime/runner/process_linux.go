package runner

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// childAttributes puts a child into its own process group and ties its life to the thread of the spawner.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// reap waits for the child, kills what is left of its group, and only then takes the child's exit status: as long as the child is a zombie its
// id, which is that of its group, cannot be given to another process.
func (p *process) reap() error {
	for errors.Is(unix.Waitid(unix.P_PID, p.pid(), nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	killGroup(p.pid())
	p.ended.Store(true)
	return p.cmd.Wait()
}
