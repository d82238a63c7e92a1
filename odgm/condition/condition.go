// Package condition evaluates the conditions of class-level triggers, which are CEL expressions over a change.
//
// Guarantee: a condition is a pure function of its text and its [Input]. It runs inside a replicated state machine, so there is no
// time, no randomness and nothing of the machine that it runs on: time zones by name are left out, maps are walked in the order of
// their keys, and map literals, whose order would be random, are refused. Work is bounded by a cost, not by a clock, so that every
// replica stops at the same point. Whatever the expression and the values are, the outcome is true, false or an error, never a panic.
//
// The variables are
//
//	old, new   the values of the entry before and after: parsed JSON if the bytes are JSON, else a string if they are UTF-8, else
//	           bytes; null if there was none
//	key        the entry's key
//	object     the object's id
//	method     the method's name, for triggers of methods
//	version    the object's version after the change, an int
//
// Every JSON number is a double. Comparisons of a value take ints, uints and doubles alike: new < 5 and new < 5.0 are the same, as are
// new == 5 and new == 5.0. Arithmetic does not, and what it yields is equal only to its own type: write new + 1.0 == 6.0, or
// int(new) % 2 == 0. Integers beyond 2^53 lose their last digits, as in JavaScript.
package condition

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"

	"github.com/hpcclab/oaas-go/api/fault"
)

// Limits of conditions.
const (
	// MaxSize is the length of the longest expression, in bytes.
	MaxSize = 4 << 10
	// MaxValueSize is the size of the largest value that a condition may look at, in bytes.
	MaxValueSize = 1 << 20
	// MaxCost bounds one evaluation: about the number of operations, with every 256 bytes of text that one touches counted as one.
	// That is a loop over some thousand elements. It is not more because CEL's bookkeeping of costs grows with its square.
	MaxCost = 20_000
)

// Condition is a compiled expression, safe for concurrent use.
type Condition struct {
	text    string
	program cel.Program
}

// Input is what a condition is evaluated over.
type Input struct {
	// Old and New are the bytes of the entry; they are looked at only if HasOld and HasNew say that there are any.
	Old, New       []byte
	HasOld, HasNew bool
	Key            string
	Object         string
	Method         string
	Version        uint64
}

// Compile reads an expression. Its errors are *fault.Error of InvalidArgument and name line and column.
func Compile(text string) (*Condition, error) {
	if len(text) > MaxSize {
		return nil, fault.New(fault.InvalidArgument, "condition of %d bytes exceeds the limit of %d bytes", len(text), MaxSize)
	}
	if strings.TrimSpace(text) == "" {
		return nil, fault.New(fault.InvalidArgument, "condition is empty")
	}
	if !utf8.ValidString(text) {
		return nil, fault.New(fault.InvalidArgument, "condition is not UTF-8")
	}
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("set up conditions: %w", err)
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, fault.New(fault.InvalidArgument, "condition does not compile: %s", describe(issues.Errors()))
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fault.New(fault.InvalidArgument, "condition must be true or false, but yields %s", t)
	}
	if err := refuse(ast); err != nil {
		return nil, err
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostTracking(meter{}), cel.CostLimit(MaxCost))
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "condition does not compile")
	}
	return &Condition{text: text, program: program}, nil
}

// Check says what is wrong with an expression, or nil. It fits opackage.WithCondition.
func Check(text string) error {
	_, err := Compile(text)
	return err
}

// String gives the expression.
func (c *Condition) String() string { return c.text }

// Eval says whether the condition holds. An expression that does not apply to the values (a missing key, text where a number is
// needed), costs too much or yields no boolean is an error, the same one wherever it is evaluated.
func (c *Condition) Eval(in Input) (bool, error) {
	out, _, err := c.program.Eval(&variables{in: &in})
	if err != nil {
		return false, fault.Wrap(fault.InvalidArgument, err, "evaluate condition %q", c.text)
	}
	holds, ok := out.(types.Bool)
	if !ok {
		return false, fault.New(fault.InvalidArgument, "evaluate condition %q: must be true or false, but yields %s", c.text, out.Type().TypeName())
	}
	return bool(holds), nil
}

// describe gives the first few errors of the compiler with their positions.
func describe(errs []*cel.Error) string {
	const most = 3
	var out []string
	for _, e := range errs[:min(len(errs), most)] {
		out = append(out, fmt.Sprintf("%d:%d: %s", max(1, e.Location.Line()), max(1, e.Location.Column()+1), e.Message))
	}
	return strings.Join(out, "; ")
}
