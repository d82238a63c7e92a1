// Package oaasgo carries the sources of the Go SDK, so that `oaas` can put them into a project and Go functions build offline.
//
// Guarantee: [SDK] is a complete module of path [Module] that needs nothing but the standard library. It is here, at the root, because a
// package can embed only what is below it.
package oaasgo

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Module is the path of this module, and of the copy of the SDK.
const Module = "github.com/hpcclab/oaas-go"

// sdkGoMod is the go.mod of the copy. Its Go version is the lowest that the SDK builds with.
const sdkGoMod = "module " + Module + "\n\ngo 1.24\n"

//go:embed LICENSE api/function/*.go runtime/oaas/*.go runtime/oaas/*.s runtime/oaas/oaastest/*.go
var sources embed.FS

// SDK gives the files of the SDK by their slash-separated path in the module, without tests.
func SDK() (map[string][]byte, error) {
	files := map[string][]byte{"go.mod": []byte(sdkGoMod)}
	err := fs.WalkDir(sources, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path.Base(name), "_test.go") {
			return err
		}
		files[name], err = fs.ReadFile(sources, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the embedded SDK: %w", err)
	}
	return files, nil
}
