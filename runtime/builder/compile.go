package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/api/opackage"
)

// Failed is the error of a build whose tool said no.
type Failed struct {
	Function string
	Command  []string
	// Output is what the tool printed, the end of it if it was very long.
	Output string
	Cause  error
}

// Error gives the tool's words.
func (e *Failed) Error() string {
	text := fmt.Sprintf("build %s: %s: %v", e.Function, strings.Join(e.Command, " "), e.Cause)
	if e.Output != "" {
		text += "\n" + strings.TrimRight(e.Output, "\n")
	}
	return text
}

// Unwrap gives the cause.
func (e *Failed) Unwrap() error { return e.Cause }

// programName is the name of a compiled function in its build folder.
func programName() string {
	if runtime.GOOS == "windows" {
		return "function.exe"
	}
	return "function"
}

// sourceFolder is where a build folder keeps its copy of the source.
const sourceFolder = "source"

// compile fills the folder out.
func compile(ctx context.Context, req Request, source *tree, out string) error {
	switch {
	case req.Runtime == opackage.GoRuntime && len(req.Build) == 0:
		return compileGo(ctx, req, filepath.Join(out, programName()), nil)
	case req.Runtime == opackage.WasmRuntime:
		return compileWasm(ctx, req, out)
	}
	copied := filepath.Join(out, sourceFolder)
	if err := source.copyTo(copied); err != nil {
		return fmt.Errorf("build %s: %w", req.Function, err)
	}
	if len(req.Command) > 0 {
		return nil
	}
	switch req.Runtime {
	case opackage.PythonRuntime:
		return checkPython(ctx, req, copied)
	case opackage.NodeRuntime:
		return checkNode(ctx, req, copied)
	}
	return nil
}

// compileGo builds the program file, for another platform if the environment says so.
func compileGo(ctx context.Context, req Request, file string, env []string, flags ...string) error {
	program, err := tool(req.Function, opackage.GoRuntime)
	if err != nil {
		return err
	}
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-o", file}, flags...)
	env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	err = run(ctx, req, req.Dir, env, program, append(args, ".")...)
	if failed, ok := errors.AsType[*Failed](err); ok && strings.Contains(failed.Output, "go.mod file not found") {
		failed.Output += "\nthe folder is no Go module; make it one with: go mod init " + req.Function
	}
	return err
}

// ModuleName is the name of a WebAssembly module in its build folder.
const ModuleName = "function.wasm"

// compileWasm builds a module from Go source, or takes the only *.wasm file of the folder, which may be what build: has just made.
func compileWasm(ctx context.Context, req Request, out string) error {
	file := filepath.Join(out, ModuleName)
	modules, err := filepath.Glob(filepath.Join(req.Dir, "*.wasm"))
	if err != nil {
		return fmt.Errorf("look for a module: %w", err)
	}
	switch {
	case len(modules) == 1:
		return copyFile(modules[0], file)
	case len(modules) > 1:
		return fmt.Errorf("build %s: %s has %d *.wasm files; name one with provision_config.wasm_module_url", req.Function, req.Dir, len(modules))
	}
	if goFiles, _ := filepath.Glob(filepath.Join(req.Dir, "*.go")); len(goFiles) == 0 {
		return fmt.Errorf("build %s: %s has neither Go source nor a *.wasm file; build the module with build:, or name it with provision_config.wasm_module_url",
			req.Function, req.Dir)
	}
	return compileGo(ctx, req, file, []string{"GOOS=wasip1", "GOARCH=wasm"}, "-buildmode=c-shared", "-ldflags=-s -w")
}

// checkPython refuses a source that Python cannot parse, as a compiler would.
func checkPython(ctx context.Context, req Request, dir string) error {
	program, err := tool(req.Function, opackage.PythonRuntime)
	if err != nil {
		return err
	}
	if _, err := mainFile(dir, opackage.PythonRuntime); err != nil {
		return fmt.Errorf("build %s: %w", req.Function, err)
	}
	const script = `import sys, traceback, pathlib
bad = 0
for p in sorted(pathlib.Path(".").rglob("*.py")):
    if {"node_modules", ".venv", "venv", "__pycache__"} & set(p.parts):
        continue
    try:
        compile(p.read_bytes(), str(p), "exec")
    except (SyntaxError, ValueError):
        bad = 1
        traceback.print_exc(limit=0)
sys.exit(bad)`
	if err := run(ctx, req, dir, os.Environ(), program, "-c", script); err != nil {
		return err
	}
	return installPython(ctx, req, program, dir)
}

const (
	// venvFolder is where a build folder keeps the packages that requirements.txt of a Python function names.
	venvFolder   = "venv"
	requirements = "requirements.txt"
)

// installPython installs what requirements.txt names, if it names anything, into a virtual environment of the build.
func installPython(ctx context.Context, req Request, program, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, requirements))
	if err != nil || !names(string(text)) {
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("build %s: read %s: %w", req.Function, requirements, err)
		}
		return nil
	}
	venv := filepath.Join(filepath.Dir(dir), venvFolder)
	create, pip := []string{"-m", "venv", venv}, []string{venvPython(venv), "-m", "pip"}
	if run(ctx, req, dir, os.Environ(), program, "-m", "pip", "--python", program, "--version") == nil { // saves many seconds: no pip of its own
		create, pip = []string{"-m", "venv", "--without-pip", venv}, []string{program, "-m", "pip", "--python", venvPython(venv)}
	}
	if err := run(ctx, req, dir, os.Environ(), program, create...); err != nil {
		return err
	}
	err = run(ctx, req, dir, os.Environ(), pip[0], append(pip[1:], "install", "--disable-pip-version-check", "--no-input", "--quiet", "-r", requirements)...)
	if failed, ok := errors.AsType[*Failed](err); ok {
		failed.Output += "\n" + requirements + " could not be installed. It takes a network, or a package index that pip knows (PIP_INDEX_URL, PIP_FIND_LINKS), " +
			"and packages that there are for this Python and machine"
	}
	return err
}

// names reports whether a requirements file names anything.
func names(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return true
		}
	}
	return false
}

// venvPython is the Python of a virtual environment.
func venvPython(venv string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(venv, "Scripts", "python.exe")
	}
	return filepath.Join(venv, "bin", "python")
}

// checkNode refuses a main file that Node cannot parse.
func checkNode(ctx context.Context, req Request, dir string) error {
	program, err := tool(req.Function, opackage.NodeRuntime)
	if err != nil {
		return err
	}
	main, err := mainFile(dir, opackage.NodeRuntime)
	if err != nil {
		return fmt.Errorf("build %s: %w", req.Function, err)
	}
	return run(ctx, req, dir, os.Environ(), program, "--check", main)
}

// runBuildCommand runs the package's own build command in the source folder.
func runBuildCommand(ctx context.Context, req Request) error {
	if len(req.Build) == 0 {
		return nil
	}
	program, err := exec.LookPath(req.Build[0])
	if strings.ContainsAny(req.Build[0], `/\`) && !filepath.IsAbs(req.Build[0]) {
		program, err = filepath.Join(req.Dir, req.Build[0]), nil
	}
	if err != nil {
		return &MissingTool{Function: req.Function, Tool: req.Build[0], Install: "it is the first word of build: in the package file"}
	}
	return run(ctx, req, req.Dir, os.Environ(), program, req.Build[1:]...)
}

// run runs a tool to its end. Cancelling the context stops it.
func run(ctx context.Context, req Request, dir string, env []string, program string, args ...string) error {
	var out tail
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, &out, &out
	// A tool's own children may hold the output open after it was stopped.
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("build %s: %w", req.Function, context.Cause(ctx))
	}
	shown := slices.Clone(args)
	for i, a := range shown {
		if strings.Contains(a, "\n") {
			shown[i] = "…"
		}
	}
	return &Failed{Function: req.Function, Command: append([]string{filepath.Base(program)}, shown...), Output: out.String(), Cause: err}
}

// tail keeps the end of what is written to it.
type tail struct {
	buf bytes.Buffer
	cut bool
}

// Write keeps p, and drops the oldest half when there is too much.
func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p)
	if over := t.buf.Len() - outputLimit; over > 0 {
		t.buf.Next(max(over, outputLimit/2))
		t.cut = true
	}
	return len(p), nil
}

func (t *tail) String() string {
	if t.cut {
		return "… (the beginning is left out)\n" + t.buf.String()
	}
	return t.buf.String()
}

// locate says how the build in the folder home is started.
func (r *Result) locate(req Request, home string) error {
	r.Dir = filepath.Join(home, sourceFolder)
	if req.Runtime == opackage.GoRuntime && len(req.Build) == 0 {
		// Go programs read files beside their source; the binary itself is the part that must not change.
		r.Dir, r.Command = req.Dir, []string{filepath.Join(home, programName())}
	}
	if req.Runtime == opackage.WasmRuntime {
		r.Dir, r.Command = req.Dir, []string{filepath.Join(home, ModuleName)}
		return nil
	}
	if len(req.Command) > 0 {
		r.Command = req.Command
		r.Env = []string{"OAAS_BUILD_DIR=" + home}
		return nil
	}
	switch req.Runtime {
	case opackage.PythonRuntime, opackage.NodeRuntime:
		return r.locateScript(req)
	case opackage.GoRuntime:
		if r.Command == nil {
			return fmt.Errorf("function %s has a build: of its own, so it needs command: too", req.Function)
		}
		return nil
	}
	return fmt.Errorf("function %s: runtime %s needs command: in the package file", req.Function, req.Runtime)
}

func (r *Result) locateScript(req Request) error {
	program, err := tool(req.Function, req.Runtime)
	if err != nil {
		return err
	}
	main, err := mainFile(r.Dir, req.Runtime)
	if err != nil {
		return fmt.Errorf("build %s: %w", req.Function, err)
	}
	r.Command = []string{program, main}
	if req.Runtime == opackage.PythonRuntime {
		if own := venvPython(filepath.Join(filepath.Dir(r.Dir), venvFolder)); isFile(own) {
			program = own
		}
		r.Command = []string{program, "-u", main}
		r.Env = []string{"PYTHONDONTWRITEBYTECODE=1"}
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
