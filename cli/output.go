package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// format is the form of a result; "" is for people.
type format string

const (
	tableFormat format = ""
	jsonFormat  format = "json"
	yamlFormat  format = "yaml"
)

var formats = []string{"table", "json", "yaml"}

// String gives the name of the form.
func (f *format) String() string {
	if *f == tableFormat {
		return "table"
	}
	return string(*f)
}

// Set reads the name of a form.
func (f *format) Set(text string) error {
	switch text {
	case "table":
		*f = tableFormat
	case "json", "yaml":
		*f = format(text)
	default:
		return fmt.Errorf("allowed are %s", strings.Join(formats, ", "))
	}
	return nil
}

// Type names the flag's value in help.
func (f *format) Type() string { return "FORM" }

// print gives a result: value in the machines' forms, else what table writes.
func (a *app) print(value any, table func()) error {
	if a.output == tableFormat {
		table()
		return nil
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	if a.output == jsonFormat {
		_, err := a.Out.Write(text.Bytes())
		return err
	}
	out, err := toYAML(text.Bytes())
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	_, err = a.Out.Write(out)
	return err
}

// line gives one item of a stream: a JSON document on a line of its own (a YAML document of its own), else what text writes.
func (a *app) line(value any, text func()) error {
	if a.output == tableFormat {
		text()
		return nil
	}
	out, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	if a.output == yamlFormat {
		if out, err = toYAML(out); err != nil {
			return fmt.Errorf("encode result: %w", err)
		}
		out = append([]byte("---\n"), bytes.TrimRight(out, "\n")...)
	}
	_, err = a.Out.Write(append(out, '\n'))
	return err
}

// toYAML rewrites JSON, which is YAML in a style for machines, keeping the order of its keys.
func toYAML(text []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	var plain func(n *yaml.Node)
	plain = func(n *yaml.Node) {
		if len(n.Content) > 0 || n.Kind == yaml.ScalarNode {
			n.Style = 0
		}
		for _, c := range n.Content {
			plain(c)
		}
	}
	plain(&doc)
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, err
	}
	return out.Bytes(), enc.Close()
}

// table writes rows in columns; the first row is the header.
func (a *app) table(rows [][]string) {
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // a buffer takes everything
	for line := range strings.Lines(text.String()) {
		fmt.Fprintln(a.Out, strings.TrimRight(line, " \n"))
	}
}

// show gives bytes as a person reads them: text on one line, or how many bytes there are. The text is cut at limit characters; 0 is no limit.
func show(data []byte, limit int) string {
	if !isText(data) {
		return fmt.Sprintf("(%d bytes)", len(data))
	}
	text := strings.Join(strings.Fields(string(data)), " ")
	if json.Valid(data) {
		var compact bytes.Buffer
		if json.Compact(&compact, data) == nil {
			text = compact.String()
		}
	}
	if limit > 0 && utf8.RuneCountInString(text) > limit {
		text = string([]rune(text)[:limit-1]) + "…"
	}
	return text
}

// isText reports whether bytes are UTF-8 without control characters that would upset a terminal.
func isText(data []byte) bool {
	if !utf8.Valid(data) {
		return false
	}
	return !bytes.ContainsFunc(data, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) })
}

// value gives bytes as JSON has them: what they say if they are JSON, else text, else nil for what is no text.
func value(data []byte) any {
	switch {
	case json.Valid(data):
		return json.RawMessage(data)
	case isText(data):
		return string(data)
	}
	return nil
}

// Colours of terminals.
const (
	colorRed   = "31"
	colorGreen = "32"
	colorCyan  = "36"
)

// paint colours text on a terminal, unless NO_COLOR says otherwise.
func (a *app) paint(terminal bool, color, text string) string {
	if no, set := a.env("NO_COLOR"); !terminal || (set && no != "") {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// plural gives "1 object", "2 objects".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") {
		return fmt.Sprintf("%d %ses", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
