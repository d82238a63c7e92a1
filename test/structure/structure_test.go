// Package structure holds the tests of the shape of the source tree: which package may import which, and that each says what it guarantees.
package structure

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/hpcclab/oaas-go"

type goPackage struct {
	ImportPath string
	Name       string
	Doc        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// packages lists the packages of the module as the go command sees them.
func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Doc,GoFiles,Imports,Deps", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []goPackage
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		generated := strings.HasSuffix(p.ImportPath, "/api/oprc") || strings.HasSuffix(p.ImportPath, "/odgm/record")
		testsOnly := len(p.GoFiles) == 0 // the go command knows no comment of such a package
		if len(p.Doc) < 20 && !generated && !testsOnly {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// forbidden says what a package (and all below it) must not depend on, directly or through others, and why.
var forbidden = []struct {
	under, dependency, why string
}{
	{"api", module + "/odgm", "contracts know nothing of what implements them"},
	{"api", module + "/runtime", "contracts know nothing of what implements them"},
	{"api", module + "/gateway", "contracts know nothing of what implements them"},
	{"api", module + "/broker", "contracts know nothing of what implements them"},
	{"api/function", "github.com/", "the SDK travels in the oaas binary and builds offline: standard library only"},
	{"runtime/oaas", "google.golang.org/", "the SDK travels in the oaas binary and builds offline: standard library only"},
	{"broker", module + "/odgm", "messaging is below the grid"},
	{"broker/zenoh", module, "Zenoh in Go is of use to others, and could be published alone"},
	{"broker", module + "/gateway", "messaging is below the gateway"},
	{"odgm", "k8s.io/", "the grid runs without Kubernetes"},
	{"odgm", "knative.dev/", "the grid runs without Kubernetes"},
	{"odgm", module + "/runtime", "the grid calls URLs; it does not know what runs behind them"},
	{"odgm", module + "/gateway", "the gateway is above the grid"},
	{"odgm", "github.com/gin-gonic/gin", "the grid serves no HTTP"},
	{"runtime", module + "/odgm", "what runs functions does not know who calls them"},
	{"runtime", module + "/gateway", "what runs functions does not know who calls them"},
	{"gateway", module + "/runtime", "the gateway reaches functions through the grid alone"},
	{"gateway", "knative.dev/", "the gateway runs without Kubernetes"},
	{"pm", module + "/odgm", "the Package Manager plans; environments run"},
	{"pm", module + "/gateway", "the Package Manager knows gateways by their addresses"},
	{"pm", module + "/runtime", "the Package Manager plans; environments run"},
	{"pm", "k8s.io/", "the Package Manager runs without Kubernetes"},
	{"gateway", module + "/pm", "the data plane serves without the control plane"},
	{"gateway", module + "/dev", "the gateway is one of the parts that oaas dev composes"},
}

func TestForbiddenDependencies(t *testing.T) {
	for _, p := range packages(t) {
		for _, rule := range forbidden {
			path := module + "/" + rule.under
			if p.ImportPath != path && !strings.HasPrefix(p.ImportPath, path+"/") {
				continue
			}
			for _, dep := range p.Deps {
				if strings.HasPrefix(dep, rule.dependency) && !allowed(rule.under, dep) {
					t.Errorf("%s depends on %s: %s", p.ImportPath, dep, rule.why)
				}
			}
		}
	}
}

// allowed lists the exceptions to rules: packages of this module below the one that the rule is for.
func allowed(under, dep string) bool {
	own := module + "/" + under
	return (under == "api/function" || under == "broker/zenoh") && (dep == own || strings.HasPrefix(dep, own+"/"))
}
