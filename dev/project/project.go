// Package project reads the folder of a project: its package file and where the sources of its functions are.
//
// Guarantee: a project that [Load] gives is valid as a whole; the error of one that is not has every problem, with line and column.
package project

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/runtime/builder"
)

// FileName is the name of the package file in a project folder.
const FileName = "oaas-package.yaml"

// Project is a valid package document and the folder that it was read from.
type Project struct {
	// Dir is absolute.
	Dir string
	*opackage.Package
}

// Load reads and checks the project in a folder.
func Load(dir string, opts ...opackage.ValidateOption) (*Project, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find project: %w", err)
	}
	file := filepath.Join(dir, FileName)
	text, err := readBounded(file)
	if err != nil {
		return nil, err
	}
	pkg, err := opackage.ParseYAML(text, opackage.InFile(file))
	if err != nil {
		return nil, err
	}
	if err := pkg.Validate(opts...); err != nil {
		return nil, err
	}
	return &Project{Dir: dir, Package: pkg}, nil
}

// readBounded reads no more than one byte over the limit, which is enough for the parser to refuse it.
func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "%s is no project: it has no %s; make one with: oaas func create NAME", filepath.Dir(file), FileName)
	}
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "open project")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, opackage.MaxSize+1))
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "read %s", file)
	}
	return text, nil
}

// FunctionName is the name of a function on the platform.
func (p *Project) FunctionName(key string) string { return p.Name + "-" + key }

// Source gives the folder of a function's code.
func (p *Project) Source(f *opackage.Function) string {
	if filepath.IsAbs(f.Source) {
		return filepath.Clean(f.Source)
	}
	return filepath.Join(p.Dir, filepath.FromSlash(f.Source))
}

// Local reports whether the platform runs the function itself.
func Local(f *opackage.Function) bool { return f.URL == "" }

// BuildRequest says how to build a function that is local. The folders in exclude are no source.
func (p *Project) BuildRequest(f *opackage.Function, exclude ...string) builder.Request {
	if f.IsWasm() {
		return builder.Request{Package: p.Name, Function: f.Key, Dir: p.Source(f), Runtime: opackage.WasmRuntime, Build: f.Build, Exclude: exclude}
	}
	return builder.Request{
		Package: p.Name, Function: f.Key, Dir: p.Source(f), Runtime: f.Runtime, Build: f.Build, Command: f.Command, Exclude: exclude,
	}
}

// Fingerprint is a hash of the package file and of the sources of all functions of the project in a folder. It is given also for a project that is
// not valid, so that a change of it can be noticed.
func Fingerprint(dir string, exclude ...string) string {
	sum := sha256.New()
	text, err := readBounded(filepath.Join(dir, FileName))
	fmt.Fprintf(sum, "%x %v\n", sha256.Sum256(text), err)
	p, err := Load(dir)
	if err != nil {
		return hex.EncodeToString(sum.Sum(nil))
	}
	for i := range p.Functions {
		f := &p.Functions[i]
		if !Local(f) {
			continue
		}
		hash, err := builder.Hash(p.BuildRequest(f, exclude...))
		fmt.Fprintf(sum, "%s %s %v\n", f.Key, hash, err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
