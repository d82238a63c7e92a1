// Package condition evaluates the conditions of class-level triggers, written in CEL (https://cel.dev).
//
// Guarantee: evaluating a condition is deterministic (it runs inside the state machine of a shard, which replicas repeat: no clock, no
// randomness), bounded in cost, and never panics; every failure is an error.
package condition

import (
	"encoding/json"
	"sync"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"

	"github.com/hpcclab/oaas-go/api/fault"
)

const (
	// MaxLength is the most bytes that the text of a condition may have.
	MaxLength = 4 << 10
	// maxCost bounds one evaluation, in CEL's cost units (about one per operation or element looked at).
	maxCost = 100_000
)

// Input is what a condition can look at. The data is an entry's value: in the condition it is the parsed JSON if the bytes are a JSON text, else a string
// if they are UTF-8, else bytes; null where there is no value.
type Input struct {
	Old, New       []byte
	HasOld, HasNew bool
	Key            string
	Object         string
	Method         string
	Version        uint64
}

// Condition is a compiled expression; it may be used by many goroutines.
type Condition struct {
	program cel.Program
}

// environment is made at the first use: a process without conditions does not pay for it.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("old", cel.DynType),
		cel.Variable("new", cel.DynType),
		cel.Variable("key", cel.StringType),
		cel.Variable("object", cel.StringType),
		cel.Variable("method", cel.StringType),
		cel.Variable("version", cel.IntType),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserRecursionLimit(50),
		ext.Strings(),
	)
})

// Compile checks an expression, which must yield a bool. Its error is an *fault.Error that shows the position.
func Compile(expr string) (*Condition, error) {
	if len(expr) > MaxLength {
		return nil, fault.New(fault.TooLarge, "condition has %d bytes, at most %d are allowed", len(expr), MaxLength)
	}
	env, err := environment()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "make the environment of conditions")
	}
	ast, issues := env.Compile(expr)
	if issues.Err() != nil {
		return nil, fault.Wrap(fault.InvalidArgument, issues.Err(), "condition %q", expr)
	}
	if out := ast.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.DynType) {
		return nil, fault.New(fault.InvalidArgument, "condition %q gives %s; it must give a bool", expr, out)
	}
	program, err := env.Program(ast, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "condition %q", expr)
	}
	return &Condition{program: program}, nil
}

// Eval reports whether the condition holds. What cannot be evaluated (a missing key, a comparison of a string with a number, too much work) is
// an error.
func (c *Condition) Eval(in Input) (bool, error) {
	out, _, err := c.program.Eval(map[string]any{
		"old": value(in.Old, in.HasOld), "new": value(in.New, in.HasNew),
		"key": in.Key, "object": in.Object, "method": in.Method, "version": int64(in.Version),
	})
	if err != nil {
		return false, err
	}
	met, ok := out.Value().(bool)
	if !ok {
		return false, fault.New(fault.InvalidArgument, "condition gave %s instead of a bool", out.Type().TypeName())
	}
	return met, nil
}

// value gives what a condition sees of an entry's bytes.
func value(data []byte, has bool) any {
	if !has {
		return types.NullValue
	}
	var parsed any
	if json.Unmarshal(data, &parsed) == nil {
		return parsed
	}
	if utf8.Valid(data) {
		return string(data)
	}
	return data
}
