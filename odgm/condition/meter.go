package condition

import (
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// textUnit is how many bytes of text count as one operation; regexUnit, with each character of a regular expression.
const (
	textUnit  = 256
	regexUnit = 64
)

// meter says what calls cost. CEL's own costs look at the top level of lists and maps only and take conversions for free, so a short
// condition could compare or copy large values for very long; and they make one search in a large text too dear.
type meter struct{}

// CallCost gives the cost of one call, about the operations that it takes, or the steps through a text.
func (meter) CallCost(function, _ string, args []ref.Val, _ ref.Val) *uint64 {
	cost := uint64(1)
	switch function {
	case operators.Equals, operators.NotEquals:
		if len(args) == 2 {
			cost += min(weight(args[0]), weight(args[1]))
		}
	case operators.In, operators.OldIn:
		if list, ok := lastOf(args).(traits.Lister); ok {
			cost += weight(list)
		}
	case overloads.Matches:
		if pattern, ok := lastOf(args).(types.String); ok {
			cost += size(args[0]) / regexUnit * uint64(1+len(pattern))
		}
	case overloads.StartsWith, overloads.EndsWith:
		cost += textWeight(lastOf(args))
	default:
		for _, arg := range args {
			cost += textWeight(arg)
		}
	}
	return &cost
}

func lastOf(args []ref.Val) ref.Val {
	if len(args) == 0 {
		return nil
	}
	return args[len(args)-1]
}

func textWeight(v ref.Val) uint64 {
	return size(v) / textUnit
}

// size is the length of a text in bytes; other values have none.
func size(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v))
	case types.Bytes:
		return uint64(len(v))
	}
	return 0
}

// weight counts all the values in a value. It stops counting where the cost is over the limit anyway.
func weight(v ref.Val) uint64 {
	return weigh(v, 0)
}

func weigh(v ref.Val, sum uint64) uint64 {
	if sum > MaxCost {
		return sum
	}
	switch v := v.(type) {
	case *sortedMap:
		for _, child := range v.entries {
			if sum > MaxCost {
				break
			}
			sum = weigh(child.(ref.Val), sum)
		}
	case traits.Lister:
		for it := v.Iterator(); it.HasNext() == types.True && sum <= MaxCost; {
			sum = weigh(it.Next(), sum)
		}
	default:
		sum += textWeight(v)
	}
	return sum + 1
}
