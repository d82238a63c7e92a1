package opackage

import "strings"

// suggest gives the known word that was probably meant: the same word in another spelling (maxScale, max-scale, MAX_SCALE), or the
// nearest by edit distance if that is near enough; "" if there is none. Of equally near words the first wins.
func suggest(word string, known []string) string {
	const longest, mostKnown = 2 * maxName, 1000
	if word == "" || len(word) > longest {
		return ""
	}
	plain := plainWord(word)
	best, bestDistance := "", max(1, len(plain)/3)+1
	for _, candidate := range known[:min(len(known), mostKnown)] {
		if len(candidate) > longest {
			continue
		}
		other := plainWord(candidate)
		if other == plain {
			return candidate
		}
		if max(len(plain)-len(other), len(other)-len(plain)) >= bestDistance {
			continue // the distance is at least the difference of the lengths
		}
		if d := editDistance(plain, other); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

var wordBreaks = strings.NewReplacer("_", "", "-", "", " ", "")

// plainWord drops what differs between spellings of the same word.
func plainWord(word string) string {
	return strings.ToLower(wordBreaks.Replace(word))
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbours (in bytes) that make b of a.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
