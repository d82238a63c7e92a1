package cli

import "github.com/spf13/cobra"

// nearest gives the subcommand whose name, or one of whose aliases, is most like what was typed; "" if none is much like it.
func nearest(cmd *cobra.Command, typed string) string {
	best, least := "", len(typed)/2+1
	for _, sub := range cmd.Commands() {
		if sub.Hidden {
			continue
		}
		for _, name := range append([]string{sub.Name()}, sub.Aliases...) {
			if d := distance(typed, name); d < least {
				best, least = sub.Name(), d
			}
		}
	}
	return best
}

// distance is the number of characters to insert, delete or replace to make a of b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
