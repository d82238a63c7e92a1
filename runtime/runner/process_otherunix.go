//go:build unix && !linux

package runner

import "syscall"

// childAttributes puts a child into its own process group.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// reap waits for the child and kills what is left of its group.
func (p *process) reap() error {
	err := p.cmd.Wait()
	p.ended.Store(true)
	killGroup(p.pid())
	return err
}
