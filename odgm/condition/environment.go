package condition

import (
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	celenv "github.com/google/cel-go/common/env"
	"github.com/google/cel-go/common/overloads"

	"github.com/hpcclab/oaas-go/api/fault"
)

const (
	maxNesting    = 3   // comprehensions in comprehensions
	maxRegex      = 500 // instructions of a regular expression
	maxParseDepth = 64
)

// environment is built when the first condition is compiled: it takes memory that a platform without conditions should not need.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewCustomEnv(
		cel.StdLib(cel.StdLibSubset(withoutTimeZones())),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserRecursionLimit(maxParseDepth),
		cel.ParserExpressionSizeLimit(MaxSize),
		cel.RegexProgramSizeLimit(maxRegex),
		cel.ASTValidators(
			cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
			cel.ValidateComprehensionNestingLimit(maxNesting),
		),
		cel.Variable("old", cel.DynType),
		cel.Variable("new", cel.DynType),
		cel.Variable("key", cel.StringType),
		cel.Variable("object", cel.StringType),
		cel.Variable("method", cel.StringType),
		cel.Variable("version", cel.IntType),
	)
})

// withoutTimeZones drops the functions whose answer depends on the time zone files of the machine.
func withoutTimeZones() *celenv.LibrarySubset {
	subset := celenv.NewLibrarySubset()
	for function, overload := range map[string]string{
		overloads.TimeGetFullYear:     overloads.TimestampToYearWithTz,
		overloads.TimeGetMonth:        overloads.TimestampToMonthWithTz,
		overloads.TimeGetDayOfYear:    overloads.TimestampToDayOfYearWithTz,
		overloads.TimeGetDayOfMonth:   overloads.TimestampToDayOfMonthZeroBasedWithTz,
		overloads.TimeGetDate:         overloads.TimestampToDayOfMonthOneBasedWithTz,
		overloads.TimeGetDayOfWeek:    overloads.TimestampToDayOfWeekWithTz,
		overloads.TimeGetHours:        overloads.TimestampToHoursWithTz,
		overloads.TimeGetMinutes:      overloads.TimestampToMinutesWithTz,
		overloads.TimeGetSeconds:      overloads.TimestampToSecondsWithTz,
		overloads.TimeGetMilliseconds: overloads.TimestampToMillisecondsWithTz,
	} {
		subset.AddExcludedFunctions(celenv.NewFunction(function, celenv.NewOverload(overload, nil, nil)))
	}
	return subset
}

// refuse finds what compiles but is not the same everywhere, or not bounded by cost: map literals, whose elements have no order;
// messages, which can hold maps; and regular expressions that come from data.
func refuse(ast *cel.Ast) error {
	var reason string
	var at int64
	visit := func(e celast.Expr) {
		found := ""
		switch e.Kind() {
		case celast.MapKind:
			found = "a map literal has no order, so it cannot be part of a condition"
		case celast.StructKind:
			found = "messages cannot be part of a condition"
		case celast.CallKind:
			if args := e.AsCall().Args(); e.AsCall().FunctionName() == overloads.Matches && !isText(args) {
				found = "the pattern of matches must be written as a text in the condition"
			}
		}
		if found != "" && reason == "" {
			reason, at = found, e.ID()
		}
	}
	celast.PostOrderVisit(ast.NativeRep().Expr(), celast.NewExprVisitor(visit))
	if reason == "" {
		return nil
	}
	place := ast.NativeRep().SourceInfo().GetStartLocation(at)
	return fault.New(fault.InvalidArgument, "condition does not compile: %d:%d: %s", place.Line(), place.Column()+1, reason)
}

// isText says whether the last argument of a call is a string literal.
func isText(args []celast.Expr) bool {
	if len(args) == 0 || args[len(args)-1].Kind() != celast.LiteralKind {
		return false
	}
	return strings.EqualFold(args[len(args)-1].AsLiteral().Type().TypeName(), "string")
}
