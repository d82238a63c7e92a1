package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/cobra"
)

// schemas checks what commands print with -o json against schema.json, and remembers which of them were checked.
type schemas struct {
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	seen     map[string]bool
}

const schemaURL = "https://oaas/schema.json"

func loadSchemas(t *testing.T) *schemas {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(packageDir, "schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	s := &schemas{compiler: jsonschema.NewCompiler(), seen: map[string]bool{}}
	s.compiler.AssertFormat()
	s.compiler.AssertContent()
	if err := s.compiler.AddResource(schemaURL, doc); err != nil {
		t.Fatal(err)
	}
	return s
}

// of gives the schema of a command: its own under that name of the program, or the one of oaas.
func (s *schemas) of(command string) (string, *jsonschema.Schema) {
	_, rest, _ := strings.Cut(command, " ")
	for _, name := range []string{command, "oaas " + rest} {
		escaped := strings.NewReplacer(" ", "%20", "/", "~1").Replace(name)
		if schema, err := s.compiler.Compile(schemaURL + "#/$defs/" + escaped); err == nil {
			return name, schema
		}
	}
	return "", nil
}

// check checks the output of a command line, if it asks for JSON and was not refused.
func (s *schemas) check(t *testing.T, args []string, done outcome) {
	t.Helper()
	asks := slices.Contains(args, "--json") || strings.Contains(strings.Join(args, " "), "-o json")
	if done.code != 0 || !asks {
		return
	}
	a := &app{env: lookup(nil), called: args[0], compat: isCompat(args[0])}
	root := a.root()
	if a.compat {
		root = a.compatRoot()
	}
	cmd, _, err := root.Find(args[1:])
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name, schema := s.of(cmd.CommandPath())
	if schema == nil {
		t.Errorf("%s prints JSON and is not in schema.json", cmd.CommandPath())
		return
	}
	s.seen[name] = true
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(done.out))
	if err == nil {
		err = schema.Validate(doc)
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, done.out)
	}
}

// noScenario are the commands whose output the scenarios do not have: streams, and the version of this build.
var noScenario = []string{"oaas func logs", "oaas events", "oaas version"}

// all reports the commands of which no output was checked.
func (s *schemas) all(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(packageDir, "schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Defs map[string]any `json:"$defs"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for name := range doc.Defs {
		isCommand := strings.HasPrefix(name, "oaas ") || strings.HasPrefix(name, "oprc-cli ")
		if isCommand && !s.seen[name] && !slices.Contains(noScenario, name) {
			t.Errorf("no scenario has the JSON of %q", name)
		}
	}
}

// Every command that prints a result is in schema.json.
func TestSchemaHasEveryCommand(t *testing.T) {
	s := loadSchemas(t)
	for _, name := range []string{"oaas", "oprc-cli"} {
		a := &app{env: lookup(nil), called: name, compat: isCompat(name)}
		root := a.root()
		if a.compat {
			root = a.compatRoot()
		}
		every(root, func(cmd *cobra.Command) {
			if _, schema := s.of(cmd.CommandPath()); schema == nil && !cmd.HasSubCommands() && cmd.Name() != "serve" {
				t.Errorf("%q is not in schema.json", cmd.CommandPath())
			}
		})
	}
}
