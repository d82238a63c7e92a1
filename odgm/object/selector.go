package object

import "strings"

// Selector says which entries of an object are wanted. The zero value selects none.
type Selector struct {
	All      bool
	Keys     []string
	Prefixes []string
}

// Everything selects all entries.
var Everything = Selector{All: true}

// ParseSelector reads the form of the package file: exact keys, prefixes ending in '*', and "*" alone for all.
func ParseSelector(patterns []string) (Selector, error) {
	var s Selector
	for _, p := range patterns {
		prefix, isPrefix := strings.CutSuffix(p, "*")
		switch {
		case p == "*":
			return Everything, nil
		case isPrefix:
			normal, err := NormalizePrefix(prefix)
			if err != nil {
				return Selector{}, err
			}
			s.Prefixes = append(s.Prefixes, normal)
		default:
			key, err := NormalizeKey(p)
			if err != nil {
				return Selector{}, err
			}
			s.Keys = append(s.Keys, key)
		}
	}
	return s, nil
}
