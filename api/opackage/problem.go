package opackage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hpcclab/oaas-go/api/fault"
)

// maxProblems bounds how many problems are reported at once.
const maxProblems = 100

// Problem is one thing that is wrong with a document.
type Problem struct {
	// File is the name given with [InFile], or "".
	File string `json:"file,omitempty"`
	// Line and Column count from 1, columns in characters; both are 0 when the document was not parsed from text.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Path leads to the value, such as classes[0].function_bindings[1].name; "" is the whole document.
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	// Suggestion is what was probably meant, or "".
	Suggestion string `json:"suggestion,omitempty"`
}

// Error gives file:line:column: path: message, without the parts that are not known, and the suggestion as a question.
func (p Problem) Error() string {
	var out strings.Builder
	if p.File != "" {
		out.WriteString(p.File + ":")
	}
	if p.Line > 0 {
		fmt.Fprintf(&out, "%d:%d:", p.Line, p.Column)
	}
	if out.Len() > 0 {
		out.WriteByte(' ')
	}
	if p.Path != "" {
		out.WriteString(p.Path + ": ")
	}
	out.WriteString(p.Message)
	if p.Suggestion != "" {
		fmt.Fprintf(&out, "; did you mean %q?", p.Suggestion)
	}
	return out.String()
}

// ValidationErrors are all the problems of a document, in the order of the text. As a *fault.Error it is an InvalidArgument.
type ValidationErrors []Problem

// Error gives one line for each problem.
func (e ValidationErrors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// As lets errors.As and errors.AsType find a *fault.Error, so that endpoints answer it as the caller's fault.
func (e ValidationErrors) As(target any) bool {
	out, ok := target.(**fault.Error)
	if ok {
		*out = fault.New(fault.InvalidArgument, "%s", e.Error())
	}
	return ok
}

// collector gathers problems up to the limit.
type collector struct {
	file     string
	problems ValidationErrors
	dropped  int
}

// full says that further problems will only be counted, so that what would explain them need not be looked for.
func (c *collector) full() bool { return len(c.problems) >= maxProblems }

func (c *collector) add(p Problem) {
	if c.full() {
		c.dropped++
		return
	}
	p.File = c.file
	c.problems = append(c.problems, p)
}

// err gives the problems as an error, or nil when there are none.
func (c *collector) err() error {
	if len(c.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if c.dropped > 0 {
		c.problems = append(c.problems, Problem{File: c.file, Message: fmt.Sprintf("%d more problems are not listed", c.dropped)})
	}
	return c.problems
}

// quote shows a value from the document in a message, cut where it is long.
func quote(text string) string {
	const limit = 64
	if len(text) <= limit {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q…", strings.ToValidUTF8(text[:limit], ""))
}
