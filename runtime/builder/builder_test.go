package builder

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/opackage"
)

// write makes files in a folder; each is "name", "text".
func write(t *testing.T, dir string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		path := filepath.Join(dir, pairs[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(pairs[i+1]), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func needs(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("%s is not installed", tool)
	}
}

// output runs a build and gives what it prints.
func output(t *testing.T, r *Result) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), r.Command[0], r.Command[1:]...)
	if strings.HasPrefix(r.Command[0], ".") {
		cmd.Path = filepath.Join(r.Dir, r.Command[0])
	}
	cmd.Dir, cmd.Env = r.Dir, append(os.Environ(), r.Env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("run %v: %v\n%s", r.Command, err, out)
	}
	return strings.TrimSpace(string(out))
}

const goMod = "module example.com/fn\n\ngo 1.24\n"

func goMain(text string) string {
	return "package main\n\nfunc main() { println(\"" + text + "\") }\n"
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		files []string
		want  opackage.Runtime
	}{
		{[]string{"go.mod"}, opackage.GoRuntime},
		{[]string{"main.go"}, opackage.GoRuntime},
		{[]string{"package.json"}, opackage.NodeRuntime},
		{[]string{"package.json", "build.go"}, opackage.NodeRuntime},
		{[]string{"index.mjs"}, opackage.NodeRuntime},
		{[]string{"handler.py"}, opackage.PythonRuntime},
		{[]string{"requirements.txt"}, opackage.PythonRuntime},
		{[]string{"go.mod", "tool.py"}, opackage.GoRuntime},
		{[]string{"run.sh"}, ""},
		{nil, ""},
	} {
		dir := t.TempDir()
		for _, f := range c.files {
			write(t, dir, f, "")
		}
		got, err := Detect(dir)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v: got %q, %v; want %q", c.files, got, err, c.want)
		}
	}
}

func TestBuildGo(t *testing.T) {
	src := write(t, t.TempDir(), "go.mod", goMod, "main.go", goMain("one"))
	b := &Builder{Root: t.TempDir()}
	req := Request{Package: "shop", Function: "fn", Dir: src}
	first, err := b.Build(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if first.Runtime != opackage.GoRuntime || first.Reused || output(t, first) != "one" {
		t.Fatalf("first build: %+v", first)
	}
	again, err := b.Build(t.Context(), req)
	if err != nil || !again.Reused || !slices.Equal(again.Command, first.Command) {
		t.Fatalf("same source: %+v, %v; want the build %s again", again, err, first.Hash)
	}
	write(t, src, "main.go", goMain("two"))
	second, err := b.Build(t.Context(), req)
	if err != nil || second.Reused || output(t, second) != "two" {
		t.Fatalf("changed source: %+v, %v", second, err)
	}
	if output(t, first) != "one" {
		t.Error("the first build changed with the source")
	}
}

// A module that is replaced by a folder is a part of the source, wherever the folder is.
func TestBuildGoReplacedModule(t *testing.T) {
	for _, lib := range []string{"../lib", "./lib", "./.oaas/lib"} {
		src := filepath.Join(t.TempDir(), "fn")
		write(t, filepath.Join(src, lib), "go.mod", "module example.com/lib\n\ngo 1.24\n", "lib.go", "package lib\n\nconst Text = \"old\"\n")
		write(t, src, "go.mod", goMod+"\nrequire example.com/lib v0.0.0\n\nreplace example.com/lib => "+lib+"\n",
			"main.go", "package main\n\nimport \"example.com/lib\"\n\nfunc main() { println(lib.Text) }\n")
		b := &Builder{Root: t.TempDir()}
		req := Request{Package: "shop", Function: "fn", Dir: src}
		first, err := b.Build(t.Context(), req)
		if err != nil || output(t, first) != "old" {
			t.Fatalf("%s: %+v, %v", lib, first, err)
		}
		write(t, filepath.Join(src, lib), "lib.go", "package lib\n\nconst Text = \"new\"\n")
		second, err := b.Build(t.Context(), req)
		if err != nil || second.Reused || output(t, second) != "new" {
			t.Fatalf("%s: the module changed: %+v, %v", lib, second, err)
		}
	}
}

// A folder inside a larger module depends on files elsewhere; its build is named by its outcome.
func TestBuildGoInsideModule(t *testing.T) {
	top := t.TempDir()
	write(t, top, "go.mod", goMod, "lib/lib.go", "package lib\n\nconst Text = \"old\"\n")
	src := write(t, filepath.Join(top, "cmd"), "main.go", "package main\n\nimport \"example.com/fn/lib\"\n\nfunc main() { println(lib.Text) }\n")
	b := &Builder{Root: t.TempDir()}
	req := Request{Package: "shop", Function: "fn", Dir: src}
	first, err := b.Build(t.Context(), req)
	if err != nil || output(t, first) != "old" {
		t.Fatalf("%+v, %v", first, err)
	}
	same, err := b.Build(t.Context(), req)
	if err != nil || same.Hash != first.Hash {
		t.Fatalf("nothing changed: %+v, %v; want %s", same, err, first.Hash)
	}
	write(t, top, "lib/lib.go", "package lib\n\nconst Text = \"new\"\n")
	second, err := b.Build(t.Context(), req)
	if err != nil || second.Hash == first.Hash || output(t, second) != "new" || output(t, first) != "old" {
		t.Fatalf("the module changed: %+v, %v", second, err)
	}
}

func TestBuildScripts(t *testing.T) {
	for _, c := range []struct {
		name, tool string
		files      []string
		broken     string
	}{
		{"python", "python3", []string{"main.py", "import helper\nprint(helper.text)\n", "helper.py", "text = 'hello'\n"}, "helper.py"},
		{"node", "node", []string{"package.json", `{"main":"src/start.js"}`, "src/start.js", "console.log('hello')\n"}, "src/start.js"},
		{"node without package.json", "node", []string{"only.js", "console.log('hello')\n"}, "only.js"},
	} {
		t.Run(c.name, func(t *testing.T) {
			needs(t, c.tool)
			src := write(t, t.TempDir(), c.files...)
			b := &Builder{Root: t.TempDir()}
			req := Request{Package: "shop", Function: "fn", Dir: src}
			good, err := b.Build(t.Context(), req)
			if err != nil || output(t, good) != "hello" {
				t.Fatalf("%+v, %v", good, err)
			}
			write(t, src, c.broken, "this is ( no program\n")
			_, err = b.Build(t.Context(), req)
			failed, ok := errors.AsType[*Failed](err)
			if !ok || !strings.Contains(failed.Output, "SyntaxError") {
				t.Fatalf("broken source: got %v, want a Failed with the SyntaxError", err)
			}
			if output(t, good) != "hello" {
				t.Error("the good build changed with the source")
			}
		})
	}
}

// What requirements.txt names is installed into the build, and found there although the build was moved to its place.
func TestBuildPythonRequirements(t *testing.T) {
	needs(t, "python3")
	t.Setenv("PIP_NO_INDEX", "1") // no network: what is not in the source is not there
	src := write(t, t.TempDir(), "main.py", "import tiny\nprint(tiny.text)\n", "requirements.txt", "# packages\n./tiny-1.0-py3-none-any.whl\n")
	wheel(t, filepath.Join(src, "tiny-1.0-py3-none-any.whl"), map[string]string{
		"tiny.py":                     "text = 'tiny'\n",
		"tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
		"tiny-1.0.dist-info/WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"tiny-1.0.dist-info/RECORD":   "",
	})
	b := &Builder{Root: t.TempDir()}
	req := Request{Package: "shop", Function: "fn", Dir: src}
	r, err := b.Build(t.Context(), req)
	if err != nil || output(t, r) != "tiny" {
		t.Fatalf("%+v, %v", r, err)
	}
	write(t, src, "requirements.txt", "there-is-no-such-package\n")
	_, err = b.Build(t.Context(), req)
	if failed, ok := errors.AsType[*Failed](err); !ok || !strings.Contains(failed.Output, "requirements.txt could not be installed") || !strings.Contains(failed.Output, "there-is-no-such-package") {
		t.Errorf("without a network: %v", err)
	}
}

func wheel(t *testing.T, file string, files map[string]string) {
	t.Helper()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(out)
	for name, text := range files {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestBuildCommand(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	src := write(t, t.TempDir(), "run.sh", "#!/bin/sh\ncat made.txt\n", "make.sh", "#!/bin/sh\necho made > made.txt\n")
	b := &Builder{Root: t.TempDir()}
	r, err := b.Build(t.Context(), Request{
		Package: "shop", Function: "fn", Dir: src, Build: []string{"./make.sh"}, Command: []string{"./run.sh"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Runtime != opackage.CommandRuntime || output(t, r) != "made" {
		t.Fatalf("%+v", r)
	}
}

func TestBuildFailures(t *testing.T) {
	withGo := func(text string) []string { return []string{"go.mod", goMod, "main.go", text} }
	for _, c := range []struct {
		name  string
		files []string
		req   Request
		want  string
	}{
		{"go does not compile", withGo("package main\n\nfunc main() { undefined() }\n"), Request{}, "undefined: undefined"},
		{"go without module", []string{"main.go", goMain("x")}, Request{}, "go mod init fn"},
		{"nothing", nil, Request{}, "cannot tell the runtime"},
		{"python without main", []string{"a.py", "", "b.py", ""}, Request{}, "no main file"},
		{"bad package.json", []string{"package.json", "{"}, Request{}, "package.json"},
		{"main outside", []string{"package.json", `{"main":"../x.js"}`}, Request{}, "leaves the folder"},
		{"main missing", []string{"package.json", `{"main":"x.js"}`}, Request{}, "x.js"},
		{"command without command", []string{"x", ""}, Request{Runtime: opackage.CommandRuntime}, "needs command:"},
		{"go with its own build", withGo(goMain("x")), Request{Build: []string{"true"}}, "needs command:"},
		{"build fails", []string{"x", ""}, Request{Build: []string{"sh", "-c", "echo why; exit 3"}, Command: []string{"x"}}, "exit status 3\nwhy"},
		{"build is not there", []string{"x", ""}, Request{Build: []string{"no-such-tool"}, Command: []string{"x"}}, `needs "no-such-tool"`},
		{"bad name", nil, Request{Function: ".."}, "not usable as folder names"},
		{"no folder", nil, Request{Dir: "/no/such/folder"}, "source folder"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &Builder{Root: t.TempDir()}
			req := c.req
			req.Package = "shop"
			if req.Function == "" {
				req.Function = "fn"
			}
			if req.Dir == "" {
				req.Dir = write(t, t.TempDir(), c.files...)
			}
			r, err := b.Build(t.Context(), req)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %+v, %v; want an error with %q", r, err, c.want)
			}
			left, _ := filepath.Glob(filepath.Join(b.Root, "shop", "fn", ".*"))
			if len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestMissingToolchain(t *testing.T) {
	for _, c := range []struct{ file, text, tool string }{
		{"go.mod", goMod, "go"}, {"main.py", "", "python3"}, {"index.js", "", "node"},
	} {
		src := write(t, t.TempDir(), c.file, c.text)
		t.Setenv("PATH", t.TempDir())
		_, err := (&Builder{Root: t.TempDir()}).Build(t.Context(), Request{Package: "p", Function: "f", Dir: src})
		missing, ok := errors.AsType[*MissingTool](err)
		if !ok || missing.Tool != c.tool || !strings.Contains(missing.Error(), "https://") {
			t.Errorf("%s: got %v, want a MissingTool for %s with where to get it", c.file, err, c.tool)
		}
	}
}

func TestHashIgnoresWhatIsNoSource(t *testing.T) {
	src := write(t, t.TempDir(), "main.py", "print(1)\n", "data/x.json", "{}")
	req := Request{Package: "p", Function: "f", Dir: src, Exclude: []string{filepath.Join(src, "state")}}
	hash := func() string {
		h, err := Hash(req)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	before := hash()
	write(t, src, ".git/HEAD", "x", "__pycache__/main.pyc", "x", "node_modules/a/index.js", "x", "main.py~", "x", ".main.py.swp", "x",
		"#main.py#", "x", ".oaas/lock", "1", "state/db", "x")
	if hash() != before {
		t.Error("files that are no source changed the hash")
	}
	write(t, src, "data/x.json", "[]")
	if hash() == before {
		t.Error("a changed file did not change the hash")
	}
	write(t, src, "data/x.json", "{}")
	req.Command = []string{"x"}
	if hash() == before {
		t.Error("another command did not change the hash")
	}
}

func TestOldBuildsArePruned(t *testing.T) {
	needs(t, "python3")
	src, b := t.TempDir(), &Builder{Root: t.TempDir()}
	for i := range keep + 3 {
		write(t, src, "main.py", "print("+string(rune('0'+i))+")\n")
		r, err := b.Build(t.Context(), Request{Package: "p", Function: "f", Dir: src})
		if err != nil {
			t.Fatal(err)
		}
		if got := output(t, r); got != string(rune('0'+i)) {
			t.Fatalf("build %d prints %s", i, got)
		}
	}
	left, err := os.ReadDir(filepath.Join(b.Root, "p", "f"))
	if err != nil || len(left) != keep {
		t.Errorf("%d builds are left, want %d (%v)", len(left), keep, err)
	}
	if err := b.Remove("p"); err != nil || isDir(filepath.Join(b.Root, "p")) {
		t.Errorf("builds are there after Remove: %v", err)
	}
	if err := b.Remove(".."); err == nil {
		t.Error("Remove took a path")
	}
}

func TestCancelledBuildStops(t *testing.T) {
	src := write(t, t.TempDir(), "x", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := (&Builder{Root: t.TempDir()}).Build(ctx, Request{
		Package: "p", Function: "f", Dir: src, Build: []string{"sleep", "60"}, Command: []string{"x"},
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

func TestOutputOfToolsIsBounded(t *testing.T) {
	var out tail
	for range 100 {
		if _, err := out.Write([]byte(strings.Repeat("x", 10<<10))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := out.Write([]byte("the end")); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if len(text) > outputLimit+100 || !strings.HasSuffix(text, "the end") || !strings.HasPrefix(text, "…") {
		t.Errorf("%d bytes, begins %.20q, ends %q", len(text), text, text[len(text)-10:])
	}
}

// A module is built from Go source, or taken as it is; what is in its build folder does not change with the source.
func TestBuildWasm(t *testing.T) {
	b := &Builder{Root: t.TempDir()}
	src := write(t, t.TempDir(), "go.mod", goMod, "main.go", goMain("one"))
	req := Request{Package: "shop", Function: "fn", Dir: src, Runtime: opackage.WasmRuntime}
	isModule := func(r *Result) bool {
		text, err := os.ReadFile(r.Command[0])
		return err == nil && strings.HasPrefix(string(text), "\x00asm")
	}
	first, err := b.Build(t.Context(), req)
	if err != nil || first.Runtime != opackage.WasmRuntime || !isModule(first) {
		t.Fatalf("from Go: %+v, %v", first, err)
	}
	if again, err := b.Build(t.Context(), req); err != nil || !again.Reused || again.Command[0] != first.Command[0] {
		t.Errorf("same source: %+v, %v", again, err)
	}
	write(t, src, "made.wasm", "\x00asm\x01\x00\x00\x00")
	made, err := b.Build(t.Context(), req)
	if err != nil || made.Reused || !isModule(made) || made.Hash == first.Hash {
		t.Errorf("a module that is there: %+v, %v", made, err)
	}
	write(t, src, "other.wasm", "x")
	if _, err := b.Build(t.Context(), req); err == nil || !strings.Contains(err.Error(), "2 *.wasm files") {
		t.Errorf("two modules: %v", err)
	}
	if _, err := b.Build(t.Context(), Request{Package: "shop", Function: "fn", Dir: t.TempDir(), Runtime: opackage.WasmRuntime}); err == nil ||
		!strings.Contains(err.Error(), "neither Go source nor a *.wasm file") {
		t.Errorf("nothing: %v", err)
	}
	placed, err := b.Place("shop", "fn", []byte("\x00asm placed"))
	if err != nil || placed.Reused || !isModule(placed) {
		t.Errorf("placed: %+v, %v", placed, err)
	}
	if again, err := b.Place("shop", "fn", []byte("\x00asm placed")); err != nil || !again.Reused {
		t.Errorf("placed again: %+v, %v", again, err)
	}
	if _, err := b.Place("..", "fn", nil); err == nil {
		t.Error("a package that leaves the folder")
	}
}
