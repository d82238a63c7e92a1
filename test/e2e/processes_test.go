package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is a process by its id and the time of its start, which tells it from a later one of the same id.
type process struct {
	pid   int
	start string
}

// stat reads the parent and the start of a process (Linux); ok is false when it has ended, also if nobody has waited for it yet.
func stat(pid int) (parent int, start string, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", false
	}
	end := bytes.LastIndexByte(text, ')') // the name before it may have blanks
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0, "", false
	}
	parent, err = strconv.Atoi(fields[1])
	return parent, fields[19], err == nil
}

func processes() []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well formed
	var pids []int
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// descendants gives the processes that a process has started, and those that they have started.
func descendants(of int) []process {
	children := map[int][]process{}
	for _, pid := range processes() {
		if parent, start, ok := stat(pid); ok {
			children[parent] = append(children[parent], process{pid, start})
		}
	}
	var family []process
	for next := children[of]; len(next) > 0; next = next[1:] {
		family = append(family, next[0])
		next = append(next, children[next[0].pid]...)
	}
	return family
}

// running gives those of the processes that still run, and all whose environment is that of a function of the platform.
func running(p *platform, family []process) []string {
	var found []string
	for _, member := range family {
		if _, start, ok := stat(member.pid); ok && start == member.start {
			found = append(found, describe(member.pid))
		}
	}
	mark := []byte("OAAS_URL=" + p.url(""))
	for _, pid := range processes() {
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			continue // it has ended, or is not ours
		}
		for variable := range bytes.SplitSeq(environment, []byte{0}) {
			if _, _, ok := stat(pid); ok && bytes.Equal(variable, mark) {
				found = append(found, describe(pid))
			}
		}
	}
	return found
}

func describe(pid int) string {
	command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // only for the message
	return fmt.Sprintf("%d (%s)", pid, bytes.ReplaceAll(bytes.TrimRight(command, "\x00"), []byte{0}, []byte{' '}))
}

// noneLeft waits until the family of a killed platform has ended. Where there is no /proc there is nothing to see.
func noneLeft(p *platform, family []process) {
	p.t.Helper()
	p.until("every process of the killed platform has ended", func() bool { return len(running(p, family)) == 0 })
}
