package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/dev/control"
)

// TestOverZenoh runs data commands against the Zenoh router of a platform, under both names of the program, as a client of the network and as a
// peer. Z stands for the endpoint and the mode, ID for the id of the call without waiting, and OBJ for an object of this run.
func TestOverZenoh(t *testing.T) {
	p := startPlatform(t, "--zenoh", "127.0.0.1:0")
	var status control.Status
	if a := p.must("GET", control.StatusPath, nil); json.Unmarshal(a.body, &status) != nil || status.Zenoh == "" {
		t.Fatalf("status: %s", a)
	}
	file := filepath.Join(p.dir, "pkg.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(recordPackage, "FUNCTION", recordFunction(t))), 0o600); err != nil {
		t.Fatal(err)
	}
	p.oaas("package", "apply", file, "-d")
	for mode, flags := range map[string]string{"client": "-z " + status.Zenoh, "peer": "-z " + status.Zenoh + " --peer"} {
		for _, name := range []string{"oprc-cli", "oaas"} {
			t.Run(name+" "+mode, func(t *testing.T) { overZenoh(t, name, flags, name+"-"+mode) })
		}
	}
}

func overZenoh(t *testing.T, name, flags, object string) {
	type row struct{ line, out, err string }
	rows := []row{
		{"object set C 1 OBJ -b a=1 -s b=two Z", "…", ""},
		{"object get C 1 OBJ -k b Z", "two", ""},
		{"object get C 1 OBJ Z", "…a: 1\n", ""},
		{"object list C 1 -f OBJ Z", "…OBJ  v1  entries=2\n", ""},
		{"object get C 1 none Z", "Object not found\n", ""},
		{"invoke C 0 echo -p - Z", "hi\n", ""},
		{"invoke C 1 mecho -o OBJ -p - Z", "hi\n", ""},
		{"invoke C 1 no -o OBJ Z", "…not like this", ""},
		{"invoke C 1 mecho -o OBJ -p - --async-mode --invocation-id ID Z", "ID\n", ""},
		{"result C 1 mecho ID -o OBJ --watch Z", "hi\n", ""},
		{"result C 1 mecho none -o OBJ Z", "Result not yet available for invocation: none\n", ""},
	}
	if name == "oaas" {
		rows = []row{
			{"object set C OBJ a=1 b=two -p 1 Z", "…set 2 entries", ""},
			{"object get C OBJ --key b -p 1 Z", "two", ""},
			{"object list C --prefix OBJ -p 1 Z", "…OBJ", ""},
			{"object get C none -p 1 Z", "", "…NO_OBJECT"},
			{"invoke C echo - Z", "hi", ""},
			{"invoke C OBJ mecho - -p 1 Z", "hi", ""},
			{"invoke C OBJ no -p 1 Z", "", "…not like this"},
			{"invoke C OBJ mecho - -p 1 --async --key ID Z", "ID\n", ""},
		}
	}
	rows = append(rows,
		row{"liveliness Z", "…oprc/example.record/1/liveliness/", ""},
		row{"capabilities-zenoh example.record 1 --json Z", "…\"partition\": 1", ""},
		row{"topology raw @/*/router Z", "…@/", ""},
	)
	o := newReference(t, name)
	class := ""
	if name == "oaas" {
		class = "example.record"
	}
	for _, r := range rows {
		known := strings.NewReplacer("ID", "call-"+object, "OBJ", object)
		line := strings.NewReplacer(" C ", " "+class+" ", " Z", " "+flags).Replace(known.Replace(r.line))
		if strings.Contains(r.line, " C ") && class == "" {
			line += " -c example.record"
		}
		out, errs, code := o.run("hi", strings.Fields(line)...)
		if (code != 0) != (r.err != "") || !matches(out, known.Replace(r.out)) || !matches(errs, r.err) && r.err != "" {
			t.Errorf("%s: exit code %d\nstdout %q\nwant   %q\nstderr %q\nwant   %q", line, code, out, r.out, errs, r.err)
		}
	}
}
