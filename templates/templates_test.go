package templates

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	oaasgo "github.com/hpcclab/oaas-go"
	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/odgm/condition"
)

// tree lists all files below dir.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			files = append(files, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files
}

func TestWrite(t *testing.T) {
	for _, template := range Names() {
		t.Run(template, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "a", "hello")
			files, err := Write(dir, template, "hello")
			if err != nil {
				t.Fatal(err)
			}
			if got := tree(t, parent); !slices.Equal(got, prefixed("a/hello/", files)) {
				t.Errorf("there are %v\nit said %v", got, files)
			}
			for _, file := range files {
				text, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(text), placeholder) || strings.HasSuffix(file, suffix) {
					t.Errorf("%s is not rendered", file)
				}
			}
			for _, wanted := range []string{"oaas-package.yaml", "README.md", ".gitignore"} {
				if !slices.Contains(files, wanted) {
					t.Errorf("there is no %s", wanted)
				}
			}
		})
	}
}

func prefixed(prefix string, files []string) (out []string) {
	for _, file := range files {
		out = append(out, prefix+file)
	}
	return out
}

func TestWriteIntoAnEmptyFolder(t *testing.T) {
	dir := t.TempDir()
	files, err := Write(dir, "python", "hello")
	if err != nil {
		t.Fatal(err)
	}
	if got := tree(t, dir); !slices.Equal(got, files) {
		t.Errorf("there are %v, it said %v", got, files)
	}
}

func TestPackageFilesAreValid(t *testing.T) {
	for _, template := range Names() {
		files, err := render(template, "hello")
		if err != nil {
			t.Fatal(err)
		}
		pkg, err := opackage.ParseYAML(files["oaas-package.yaml"])
		if err != nil {
			t.Fatalf("%s: %v", template, err)
		}
		if err := pkg.Validate(opackage.WithCondition(condition.Check)); err != nil {
			t.Errorf("%s: %v", template, err)
		}
		if template == "python-oaas-sdk" { // the program of the others is not one for this SDK
			continue
		}
		if pkg.Name != "hello" || len(pkg.Classes) != 2 || !pkg.Classes[0].StateSpec.Persistent || len(pkg.Classes[0].Triggers) == 0 {
			t.Errorf("%s: %+v", template, pkg)
		}
	}
}

func TestRefusals(t *testing.T) {
	full := t.TempDir()
	keep := filepath.Join(full, "notes.txt")
	if err := os.WriteFile(keep, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir, template, name string
		code                fault.Code
		want                string
	}{
		{full, "go", "hello", fault.AlreadyExists, "is not empty (it has notes.txt)"},
		{keep, "go", "hello", fault.InvalidArgument, "the project cannot be made: "},
		{"new", "rust", "hello", fault.InvalidArgument, `there is no template "rust"; there are go, python, node`},
		{"new", "../go", "hello", fault.InvalidArgument, "there is no template"},
		{"new", "go", "", fault.InvalidArgument, `"" cannot be the name of a project`},
		{"new", "go", "Hello", fault.InvalidArgument, `"Hello" cannot be`},
		{"new", "go", "1st", fault.InvalidArgument, "beginning with a letter"},
		{"new", "go", "a-", fault.InvalidArgument, "not ending with -"},
		{"new", "go", "a.b", fault.InvalidArgument, "cannot be the name"},
		{"new", "go", "../a", fault.InvalidArgument, "cannot be the name"},
		{"new", "go", "a\nb", fault.InvalidArgument, "cannot be the name"},
		{"new", "go", "a\n", fault.InvalidArgument, "cannot be the name"},
		{"new", "go", strings.Repeat("a", 41), fault.InvalidArgument, "1 to 40"},
		{"new", "go", "null", fault.InvalidArgument, "it means something else in YAML"},
	} {
		dir := c.dir
		if dir == "new" {
			dir = filepath.Join(full, "new")
		}
		_, err := Write(dir, c.template, c.name)
		if fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q %q: %v", c.dir, c.template, c.name, err)
		}
		if got := tree(t, full); !slices.Equal(got, []string{"notes.txt"}) {
			t.Fatalf("%q left %v", c.name, got)
		}
	}
}

// A project that cannot be completed must leave nothing.
func TestNothingIsLeftAfterAFailure(t *testing.T) {
	dir := t.TempDir()
	bad := map[string][]byte{"a": nil, "b": nil, "a/b": nil} // "a" cannot be both a file and a folder
	if err := place(filepath.Join(dir, "new"), false, bad); err == nil {
		t.Error("a file below a file was written")
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := place(empty, true, bad); err == nil {
		t.Error("a file below a file was written")
	}
	if got := tree(t, dir); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// What is moved before one that cannot be moved goes back.
func TestMoveIntoGoesBack(t *testing.T) {
	stage, target := t.TempDir(), t.TempDir()
	for _, file := range []string{filepath.Join(stage, "a"), filepath.Join(stage, "b", "c"), filepath.Join(target, "b", "mine")} {
		if err := write(file, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := moveInto(stage, target); err == nil {
		t.Fatal("a folder that is not empty was replaced")
	}
	if got := tree(t, target); !slices.Equal(got, []string{"b/mine"}) {
		t.Errorf("the target has %v", got)
	}
	if got := tree(t, stage); !slices.Equal(got, []string{"a", "b/c"}) {
		t.Errorf("the stage has %v", got)
	}
}

func TestScriptsAreExecutable(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]fs.FileMode{"#!/bin/sh\n": 0o755, "text": 0o644} {
		file := filepath.Join(dir, "f"+text[:1])
		if err := write(file, []byte(text)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm()&0o100 != want&0o100 {
			t.Errorf("%q has mode %v, %v", text, info.Mode(), err)
		}
	}
}

// The copy of the SDK is a module of its own: everything that it imports is in it, or in the standard library.
func TestSDKIsComplete(t *testing.T) {
	files, err := oaasgo.SDK()
	if err != nil {
		t.Fatal(err)
	}
	for name := range files {
		if strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s is a test", name)
		}
	}
	dir := t.TempDir()
	for name, text := range files {
		if err := write(filepath.Join(dir, name), text); err != nil {
			t.Fatal(err)
		}
	}
	runIn(t, dir, "go", "vet", "./...")
}

// runIn runs a command that must succeed, without a network as far as Go's tools go.
func runIn(t *testing.T, dir string, argv ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local", "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skipf("%s is not installed", argv[0])
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}
