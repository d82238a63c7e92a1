package runner

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// executable gives the running program, also after the file was replaced by a rebuild.
func executable() (string, error) { return "/proc/self/exe", nil }

// sweep kills every process that has the mark in its environment. Processes can fork while they are looked for, so it looks until it finds
// none several times in a row.
func sweep(mark string) {
	const rounds, pause = 3, 10 * time.Millisecond
	for clean := 0; clean < rounds; {
		if killMarked(mark) == 0 {
			clean++
		} else {
			clean = 0
		}
		time.Sleep(pause)
	}
}

// killMarked kills the marked processes that live now and gives their number.
func killMarked(mark string) int {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return 0
	}
	killed := 0
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		// A process that has ended, or that is another user's, cannot be read.
		if env, err := os.ReadFile(file); err == nil && marked(env, mark) && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}

// marked tells whether an environment, as in /proc/<pid>/environ, carries the mark. The value is a path of marks, outermost first, since a
// function may itself run oaas.
func marked(env []byte, mark string) bool {
	for v := range bytes.SplitSeq(env, []byte{0}) {
		value, ok := bytes.CutPrefix(v, []byte(markVariable+"="))
		if !ok {
			continue
		}
		for part := range bytes.SplitSeq(value, []byte{'/'}) {
			if string(part) == mark {
				return true
			}
		}
	}
	return false
}
