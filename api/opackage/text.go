package opackage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/hpcclab/oaas-go/api/fault"
)

// MaxSize is the largest document that is read, in bytes.
const MaxSize = 4 << 20

// place is a position in the text, both counted from 1.
type place struct{ line, column int }

// checkText refuses what is no text at all, and drops a byte order mark.
func checkText(data []byte) ([]byte, error) {
	if len(data) > MaxSize {
		return nil, fault.New(fault.TooLarge, "package document of %d bytes exceeds the limit of %d bytes", len(data), MaxSize)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	for at, rest := 0, data; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 {
			return nil, problemAt(placeOf(data, at), "the text is not UTF-8: byte 0x%02x", rest[0])
		}
		at, rest = at+size, rest[size:]
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, problemAt(place{1, 1}, "the document is empty")
	}
	return data, nil
}

// placeOf gives the position of a byte offset.
func placeOf(data []byte, offset int) place {
	offset = min(max(offset, 0), len(data))
	lineStart := bytes.LastIndexByte(data[:offset], '\n') + 1
	return place{1 + bytes.Count(data[:offset], []byte{'\n'}), 1 + utf8.RuneCount(data[lineStart:offset])}
}

func problemAt(at place, format string, args ...any) error {
	return ValidationErrors{{Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)}}
}

// yamlTree reads the one document of a YAML text.
func yamlTree(data []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, problemAt(place{1, 1}, "the document is empty")
	case err != nil:
		return nil, yamlProblem(data, err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, problemAt(place{max(1, second.Line), max(1, second.Column)}, "more than one document: a package file holds exactly one")
	case !errors.Is(err, io.EOF):
		return nil, yamlProblem(data, err)
	}
	if first.Kind != yaml.DocumentNode || len(first.Content) != 1 {
		return nil, problemAt(place{1, 1}, "the document is empty")
	}
	return first.Content[0], nil
}

var yamlErrorLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// yamlProblem gives a syntax error of the YAML library its position, and says what it means when a tab is the cause.
func yamlProblem(data []byte, err error) error {
	message := err.Error()
	line := 1
	if m := yamlErrorLine.FindStringSubmatch(message); m != nil {
		message = message[len(m[0]):]
		if n, convErr := strconv.Atoi(m[1]); convErr == nil {
			line = n
		}
	}
	for i, text := range bytes.Split(data, []byte{'\n'}) {
		indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
		if tab := bytes.IndexByte(indent, '\t'); tab >= 0 && i < line {
			return problemAt(place{i + 1, tab + 1}, "not valid YAML: a tab cannot indent; use spaces")
		}
		if i+1 == line {
			return problemAt(place{line, len(indent) + 1}, "not valid YAML: %s", message)
		}
	}
	return problemAt(place{line, 1}, "not valid YAML: %s", message)
}

// jsonTree reads a JSON text into the same kind of tree, since the YAML parser does not take all JSON (tabs, surrogate pairs).
func jsonTree(data []byte) (*yaml.Node, error) {
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, problemAt(placeOf(data, int(syntax.Offset)-1), "not valid JSON: %s", err)
		}
		return nil, problemAt(place{1, 1}, "not valid JSON: %s", err)
	}
	t := &jsonTokens{data: data, decoder: json.NewDecoder(bytes.NewReader(data)), line: 1, column: 1}
	t.decoder.UseNumber()
	return t.value(0)
}

// jsonTokens turns tokens into nodes; the text is known to be valid JSON.
type jsonTokens struct {
	data    []byte
	decoder *json.Decoder
	// The position up to which lines and columns are counted, so that counting is linear.
	offset, line, column int
}

func (t *jsonTokens) value(depth int) (*yaml.Node, error) {
	start := int(t.decoder.InputOffset())
	for start < len(t.data) && strings.IndexByte(" \t\r\n,:", t.data[start]) >= 0 {
		start++
	}
	at := t.advance(start)
	if depth > maxDepth {
		return nil, problemAt(at, "the document is nested deeper than %d levels", maxDepth)
	}
	token, err := t.decoder.Token()
	if err != nil {
		return nil, problemAt(at, "not valid JSON: %s", err)
	}
	node := &yaml.Node{Kind: yaml.ScalarNode, Line: at.line, Column: at.column}
	switch v := token.(type) {
	case json.Delim:
		node.Kind, node.Tag = yaml.SequenceNode, seqTag
		if v == '{' {
			node.Kind, node.Tag = yaml.MappingNode, mapTag
		}
		return node, t.children(node, depth)
	case string:
		node.Tag, node.Value = strTag, v
	case json.Number:
		node.Tag, node.Value = intTag, v.String()
		if strings.ContainsAny(node.Value, ".eE") {
			node.Tag = floatTag
		}
	case bool:
		node.Tag, node.Value = boolTag, strconv.FormatBool(v)
	default:
		node.Tag, node.Value = nullTag, "null"
	}
	return node, nil
}

// children reads keys and values alike up to the closing bracket: the order of a mapping node's content is key, value, key, value.
func (t *jsonTokens) children(node *yaml.Node, depth int) error {
	for t.decoder.More() {
		child, err := t.value(depth + 1)
		if err != nil {
			return err
		}
		node.Content = append(node.Content, child)
	}
	if _, err := t.decoder.Token(); err != nil {
		return problemAt(place{node.Line, node.Column}, "not valid JSON: %s", err)
	}
	return nil
}

func (t *jsonTokens) advance(to int) place {
	for t.offset < to {
		r, size := utf8.DecodeRune(t.data[t.offset:])
		t.offset += size
		t.column++
		if r == '\n' {
			t.line, t.column = t.line+1, 1
		}
	}
	return place{t.line, t.column}
}
