package cli

import (
	"fmt"
	"strings"
)

// diffContext is how many lines that stay are shown around those that change.
const diffContext = 3

// maxDiff bounds the table of a comparison; longer texts are shown as wholly replaced.
const maxDiff = 16 << 20

// diff gives what changes from one text to another: each line after "-" (goes), "+" (comes) or " " (stays), "…" for lines left out; "" if nothing
// changes. It is the longest common subsequence of lines.
func diff(before, after string) string {
	if before == after {
		return ""
	}
	a, b := lines(before), lines(after)
	var all []string
	start, end := 0, 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		all = append(all, " "+a[start])
		start++
	}
	for end < len(a)-start && end < len(b)-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	all = append(all, middle(a[start:len(a)-end], b[start:len(b)-end])...)
	for _, line := range a[len(a)-end:] {
		all = append(all, " "+line)
	}
	return excerpt(all)
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// middle compares texts without a common start or end.
func middle(a, b []string) []string {
	if len(a)*len(b) > maxDiff {
		return append(marked("-", a), marked("+", b)...)
	}
	// common[i][j] is the number of lines that a[i:] and b[j:] have in common.
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			out = append(out, " "+a[i])
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			out = append(out, "-"+a[i])
			i++
		default:
			out = append(out, "+"+b[j])
			j++
		}
	}
	return append(append(out, marked("-", a[i:])...), marked("+", b[j:])...)
}

func marked(mark string, lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = mark + line
	}
	return out
}

// excerpt leaves out lines that stay and are far from those that change.
func excerpt(all []string) string {
	near := make([]bool, len(all))
	for i, line := range all {
		if line[0] == ' ' {
			continue
		}
		for k := max(0, i-diffContext); k <= min(len(all)-1, i+diffContext); k++ {
			near[k] = true
		}
	}
	var out strings.Builder
	for i, line := range all {
		switch {
		case near[i]:
			out.WriteString(line + "\n")
		case i == 0 || near[i-1]:
			out.WriteString("…\n")
		}
	}
	return out.String()
}

// printDiff shows a comparison, in colour at a terminal.
func (a *app) printDiff(text string) {
	for _, line := range lines(text) {
		switch line[0] {
		case '-':
			line = a.paint(a.OutTerminal, colorRed, line)
		case '+':
			line = a.paint(a.OutTerminal, colorGreen, line)
		}
		fmt.Fprintln(a.Out, line)
	}
}
