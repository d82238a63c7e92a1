package main

import (
	"fmt"
	"io"
)

// table collects rows of figures: ours, what they are compared with, and the ratio of the two.
type table struct {
	rows [][4]string
}

// add adds a comparison.
func (t *table) add(what, ours, beside string, ratio float64) {
	t.rows = append(t.rows, [4]string{what, ours, beside, fmt.Sprintf("%.2f", ratio)})
}

// note adds a figure that stands for itself.
func (t *table) note(what, ours string) {
	t.rows = append(t.rows, [4]string{what, ours, "", ""})
}

// print writes the table as Markdown.
func (t *table) print(w io.Writer) {
	fmt.Fprintln(w, "| what | oaas | beside | ratio |\n|---|---|---|---|")
	for _, r := range t.rows {
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", r[0], r[1], r[2], r[3])
	}
}
