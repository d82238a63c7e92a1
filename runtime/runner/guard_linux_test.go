package runner

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestKillLeavesNothing kills a program that runs a function, which has a child in a session of its own.
func TestKillLeavesNothing(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"=platform")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var function, grandchild int
	if _, err := fmt.Sscan(line, &function, &grandchild); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	guards := guardsOf(t, cmd.Process.Pid)
	if !alive(function) || !alive(grandchild) || len(guards) != 1 {
		t.Fatalf("processes %s, guards %v", line, guards)
	}
	eventually(t, "the guard ignores signals", func() bool { return ignores(t, guards[0], syscall.SIGTERM) })
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := syscall.Kill(guards[0], sig); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for name, pid := range map[string]int{"function": function, "its child": grandchild, "guard": guards[0]} {
		eventually(t, name+" is gone", func() bool { return !alive(pid) })
	}
}

// ignores tells whether a process ignores a signal.
func ignores(t *testing.T, pid int, sig syscall.Signal) bool {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "SigIgn:\t")
	line, _, _ := strings.Cut(rest, "\n")
	mask, err := strconv.ParseUint(line, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return mask&(1<<(sig-1)) != 0
}

// guardsOf finds the guards that a process started.
func guardsOf(t *testing.T, parent int) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		env, err := os.ReadFile(filepath.Join(filepath.Dir(file), "environ"))
		if err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(parent) && strings.Contains(string(env), guardVariable+"=") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestGuardIsReplaced(t *testing.T) {
	r := newRunner(t, Config{})
	mine := func() int {
		for _, pid := range guardsOf(t, os.Getpid()) {
			if env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ"); err == nil && strings.Contains(string(env), r.mark) {
				return pid
			}
		}
		return 0
	}
	eventually(t, "a guard", func() bool { return mine() != 0 })
	first := mine()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another guard", func() bool { pid := mine(); return pid != 0 && pid != first })
}

// TestCloseSweeps has a function whose child left for another session: the child does not outlive the runner.
func TestCloseSweeps(t *testing.T) {
	r := newRunner(t, Config{})
	f := deploy(t, r, role("f", "family"))
	var function, grandchild int
	if _, err := fmt.Sscan(mustCall(t, f, "/family"), &function, &grandchild); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both gone", func() bool { return !alive(function) && !alive(grandchild) })
}

// TestGroupDies has a function of the kind `npm start`: a shell whose child serves. Both end together.
func TestGroupDies(t *testing.T) {
	r := newRunner(t, Config{})
	s := role("f", "serve")
	s.Command = []string{"sh", "-c", `"$0" & wait`, os.Args[0]}
	f := deploy(t, r, s)
	server, err := strconv.Atoi(mustCall(t, f, "/pid"))
	if err != nil {
		t.Fatal(err)
	}
	shell := f.Status().PIDs[0]
	if shell == server {
		t.Fatal("no child")
	}
	if err := syscall.Kill(shell, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server dies with the shell", func() bool { return !alive(server) })
	eventually(t, "another one serves", func() bool {
		pid, err := call(t.Context(), f, "/pid", nil)
		return err == nil && pid != strconv.Itoa(server)
	})
	if err := r.Remove(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
}

func TestReadPIDs(t *testing.T) {
	for in, want := range map[string][]int{
		"":                         {},
		"+10\n+11\n-10\n":          {11},
		"+10\n+12":                 {10, 12},
		"+1\n+0\n+-5\n+x\n\n+\n-7": {},
		"10\n":                     {},
	} {
		got := readPIDs(strings.NewReader(in))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestMarked(t *testing.T) {
	for env, want := range map[string]bool{
		"A=1\x00OAAS_RUNNER=X\x00": true,
		"OAAS_RUNNER=O/X":          true,
		"OAAS_RUNNER=X/I\x00":      true,
		"OAAS_RUNNER=XX\x00":       false,
		"NOT_OAAS_RUNNER=X":        false,
		"OAAS_RUNNER_GUARD=X":      false,
		"":                         false,
	} {
		if got := marked([]byte(env), "X"); got != want {
			t.Errorf("%q: %v", env, got)
		}
	}
}
