package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is what is wrong with a file. Line and Column count from 1.
type Problem struct {
	File         string
	Line, Column int
	Message      string
}

// Error gives file:line:column: message.
func (p *Problem) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

func (r reader) problem(n *yaml.Node, format string, args ...any) error {
	return &Problem{File: r.name, Line: n.Line, Column: n.Column, Message: fmt.Sprintf(format, args...)}
}

var yamlErrorLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntaxProblem gives an error of the YAML library a column: that of the first character of the line that it names.
func syntaxProblem(name string, text []byte, err error) error {
	p := &Problem{File: name, Line: 1, Column: 1, Message: err.Error()}
	if m := yamlErrorLine.FindStringSubmatch(p.Message); m != nil {
		p.Message = p.Message[len(m[0]):]
		if n, err := strconv.Atoi(m[1]); err == nil {
			p.Line = n
		}
	}
	if lines := bytes.Split(text, []byte{'\n'}); p.Line <= len(lines) {
		line := lines[p.Line-1]
		p.Column = len(line) - len(bytes.TrimLeft(line, " \t")) + 1
	}
	p.Message = "not valid YAML: " + p.Message
	return p
}

func list(words []string) string { return strings.Join(words, ", ") }
