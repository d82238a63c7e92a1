// Package templates holds the projects that `oaas func create` starts from: one for each language, a class with state, methods and triggers.
//
// Guarantee: [Write] makes a whole project or nothing, never touches a file that was there, and what it makes passes its own tests without a
// network: a Go project carries the sources of the SDK.
package templates

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	oaasgo "github.com/hpcclab/oaas-go"
	"github.com/hpcclab/oaas-go/api/fault"
)

//go:embed all:go all:python all:node all:go-wasm all:python-oaas-sdk
var projects embed.FS

const (
	// sdkFolder is where a Go project keeps the SDK; its go.mod points there.
	sdkFolder = ".oaas/sdk"
	// placeholder stands for the name of the project in every file.
	placeholder = "{{.Name}}"
	// suffix is cut off names of files that would mean something to the tools of this repository, such as go.mod.
	suffix = ".tmpl"
	// maxName leaves room for the names of functions and pods that are made of it.
	maxName = 40
)

var validName = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)

// Names lists the templates.
func Names() []string { return []string{"go", "python", "node", "go-wasm", "python-oaas-sdk"} }

// layers are the folders that a template is made of, if it is more than one: files of the later ones are taken before those of the earlier.
var layers = map[string][]string{"go-wasm": {"go", "go-wasm"}}

// Write makes a project with that name in dir, from a template, and gives its files, as slash-separated paths in order. The folder must not
// exist, or must be empty; folders above it are made as needed.
func Write(dir, template, name string) ([]string, error) {
	files, err := render(template, name)
	if err != nil {
		return nil, err
	}
	target, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the folder: %w", err)
	}
	existed, err := checkEmpty(target)
	if err != nil {
		return nil, err
	}
	if err := place(target, existed, files); err != nil {
		return nil, fmt.Errorf("create the project: %w", err)
	}
	var list []string
	for file := range files {
		list = append(list, file)
	}
	slices.Sort(list)
	return list, nil
}

// render gives the files of a project by path.
func render(template, name string) (map[string][]byte, error) {
	if !slices.Contains(Names(), template) {
		return nil, fault.New(fault.InvalidArgument, "there is no template %q; there are %s", template, strings.Join(Names(), ", "))
	}
	if !validName.MatchString(name) || len(name) > maxName {
		return nil, fault.New(fault.InvalidArgument,
			"%q cannot be the name of a project: 1 to %d of a-z, 0-9 and -, beginning with a letter and not ending with -", name, maxName)
	}
	if name == "null" || name == "true" || name == "false" {
		return nil, fault.New(fault.InvalidArgument, "%q cannot be the name of a project: it means something else in YAML", name)
	}
	files := map[string][]byte{}
	folders := layers[template]
	if folders == nil {
		folders = []string{template}
	}
	for _, folder := range folders {
		if err := renderFolder(files, folder, name); err != nil {
			return nil, fmt.Errorf("read the template: %w", err)
		}
	}
	if folders[0] == "go" {
		sdk, err := oaasgo.SDK()
		if err != nil {
			return nil, err
		}
		for file, text := range sdk {
			files[path.Join(sdkFolder, file)] = text
		}
	}
	return files, nil
}

// renderFolder adds the files of one folder.
func renderFolder(files map[string][]byte, folder, name string) error {
	return fs.WalkDir(projects, folder, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(file, "__pycache__") {
			return err
		}
		text, err := fs.ReadFile(projects, file)
		if err != nil {
			return err
		}
		to := strings.TrimSuffix(strings.TrimPrefix(file, folder+"/"), suffix)
		files[to] = bytes.ReplaceAll(text, []byte(placeholder), []byte(name))
		return nil
	})
}

// checkEmpty tells whether the folder exists; anything in its place but an empty folder is refused.
func checkEmpty(dir string) (existed bool, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fault.Wrap(fault.InvalidArgument, err, "the project cannot be made")
	case len(entries) > 0:
		return true, fault.New(fault.AlreadyExists, "%s is not empty (it has %s); choose another folder", dir, entries[0].Name())
	}
	return true, nil
}

// place writes the files beside the target first and moves them when they are complete, so that a full disk leaves no half project.
func place(target string, existed bool, files map[string][]byte) error {
	parent := filepath.Dir(target)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	if existed {
		parent = target // the one above may be read-only
	}
	stage, err := os.MkdirTemp(parent, ".oaas-create-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage) // nothing is left of it on success
	if err := os.Chmod(stage, 0o755); err != nil {
		return err
	}
	for file, text := range files {
		if err := write(filepath.Join(stage, filepath.FromSlash(file)), text); err != nil {
			return err
		}
	}
	if !existed {
		return os.Rename(stage, target)
	}
	return moveInto(stage, target)
}

func write(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if bytes.HasPrefix(text, []byte("#!")) {
		mode = 0o755
	}
	return os.WriteFile(file, text, mode)
}

// moveInto moves what is in stage into the target, and takes it back if one of them cannot be moved.
func moveInto(stage, target string) error {
	entries, err := os.ReadDir(stage)
	if err != nil {
		return err
	}
	for i, e := range entries {
		err := os.Rename(filepath.Join(stage, e.Name()), filepath.Join(target, e.Name()))
		if err == nil {
			continue
		}
		for _, moved := range entries[:i] {
			err = errors.Join(err, os.Rename(filepath.Join(target, moved.Name()), filepath.Join(stage, moved.Name())))
		}
		return err
	}
	return nil
}
