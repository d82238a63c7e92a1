package builder

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hpcclab/oaas-go/api/opackage"
)

// Detect guesses the runtime of a source folder from its files.
func Detect(dir string) (opackage.Runtime, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("look at the source: %w", err)
	}
	has := func(match func(string) bool) bool {
		return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !e.IsDir() && match(e.Name()) })
	}
	is := func(names ...string) func(string) bool {
		return func(n string) bool { return slices.Contains(names, n) }
	}
	ends := func(suffixes ...string) func(string) bool {
		return func(n string) bool { return slices.Contains(suffixes, filepath.Ext(n)) }
	}
	switch {
	case has(is("go.mod")):
		return opackage.GoRuntime, nil
	case has(is("package.json")):
		return opackage.NodeRuntime, nil
	case has(ends(".go")):
		return opackage.GoRuntime, nil
	case has(is("requirements.txt", "pyproject.toml")), has(ends(".py")):
		return opackage.PythonRuntime, nil
	case has(ends(".js", ".mjs", ".cjs")):
		return opackage.NodeRuntime, nil
	}
	return "", fmt.Errorf("cannot tell the runtime of %s: it has no go.mod, package.json or *.py; "+
		"set runtime: to go, python or node, or give command: in the package file", dir)
}

// runtimeOf gives the runtime that was asked for, or guesses it. A command of its own needs no runtime.
func runtimeOf(req Request) (opackage.Runtime, error) {
	if req.Runtime != "" {
		return req.Runtime, nil
	}
	kind, err := Detect(req.Dir)
	if err != nil && len(req.Command) > 0 {
		return opackage.CommandRuntime, nil
	}
	return kind, err
}

// MissingTool is the error for a program that a build needs and that is not installed.
type MissingTool struct {
	Function string
	Tool     string
	Install  string
}

// Error names the program and where to get it.
func (e *MissingTool) Error() string {
	return fmt.Sprintf("function %s needs %q, which is not on the PATH; %s", e.Function, e.Tool, e.Install)
}

// tools says, for each runtime, which programs do its work (the first one found is taken) and where to get them.
var tools = map[opackage.Runtime]struct {
	programs []string
	install  string
}{
	opackage.GoRuntime:     {[]string{"go"}, "install Go: https://go.dev/dl"},
	opackage.PythonRuntime: {[]string{"python3", "python"}, "install Python 3: https://www.python.org/downloads"},
	opackage.NodeRuntime:   {[]string{"node"}, "install Node.js: https://nodejs.org"},
}

// tool finds the program of a runtime.
func tool(function string, kind opackage.Runtime) (string, error) {
	t := tools[kind]
	for _, program := range t.programs {
		if path, err := exec.LookPath(program); err == nil {
			return path, nil
		}
	}
	return "", &MissingTool{Function: function, Tool: t.programs[0], Install: t.install}
}

// pythonMain and nodeMain are the names under which a program's start is looked for, best first.
var (
	pythonMain = []string{"main.py", "app.py", "func.py", "function.py", "handler.py"}
	nodeMain   = []string{"index.js", "index.mjs", "main.js", "main.mjs", "app.js", "server.js", "function.js", "handler.js"}
)

// mainFile finds the file that starts a python or node function, relative to dir.
func mainFile(dir string, kind opackage.Runtime) (string, error) {
	names, ending := pythonMain, ".py"
	if kind == opackage.NodeRuntime {
		names, ending = nodeMain, ".js"
		if main, err := packageJSONMain(dir); main != "" || err != nil {
			return main, err
		}
	}
	for _, name := range names {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return name, nil
		}
	}
	only, err := filepath.Glob(filepath.Join(dir, "*"+ending))
	if err != nil {
		return "", fmt.Errorf("look for the main file: %w", err)
	}
	only = slices.DeleteFunc(only, func(p string) bool { return isTest(filepath.Base(p)) })
	if len(only) == 1 {
		return filepath.Base(only[0]), nil
	}
	return "", fmt.Errorf("no main file in %s: looked for %s; name it so, or set command: in the package file", dir, strings.Join(names, ", "))
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "test_") || strings.HasSuffix(name, "_test.py") ||
		strings.HasSuffix(name, ".test.js") || strings.HasPrefix(name, "test.")
}

// packageJSONMain gives the "main" of package.json, or "" when there is none.
func packageJSONMain(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read package.json: %w", err)
	}
	var doc struct {
		Main string `json:"main"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return "", fmt.Errorf("read %s: %w", filepath.Join(dir, "package.json"), err)
	}
	if doc.Main == "" {
		return "", nil
	}
	main := filepath.Clean(doc.Main)
	if !filepath.IsLocal(main) {
		return "", fmt.Errorf("package.json: main %q leaves the folder", doc.Main)
	}
	if _, err := os.Stat(filepath.Join(dir, main)); err != nil {
		return "", fmt.Errorf("package.json: main: %w", err)
	}
	return main, nil
}
