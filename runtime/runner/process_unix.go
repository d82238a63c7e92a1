//go:build unix

package runner

import "syscall"

// askToEnd sends SIGTERM to the whole group, because the program that serves is often the child of a script.
func askToEnd(pid int) { _ = syscall.Kill(-pid, syscall.SIGTERM) }

// killGroup kills a child and what it started, save what left the group. A group that is gone already is no failure.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// guardAttributes puts the guard into its own session, out of reach of the terminal's signals.
func guardAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
