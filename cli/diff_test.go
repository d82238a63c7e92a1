package cli

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	for name, c := range map[string]struct{ before, after, want string }{
		"equal":       {"a\nb\n", "a\nb\n", ""},
		"new":         {"", "a\nb\n", "+a\n+b\n"},
		"gone":        {"a\n", "", "-a\n"},
		"one line":    {"a\nb\nc\n", "a\nx\nc\n", " a\n-b\n+x\n c\n"},
		"far context": {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n", "…\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n…\n"},
		"at the end":  {"a\nb\n", "a\nb\nc\n", " a\n b\n+c\n"},
		"two places":  {"a\nb\nc\nd\n", "x\nb\nc\ny\n", "-a\n+x\n b\n c\n-d\n+y\n"},
	} {
		if got := diff(c.before, c.after); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", name, got, c.want)
		}
	}
}

// Whatever changes: the lines that go and stay are the text before, those that come and stay the one after.
func TestDiffSaysBothTexts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		before, after := randomLines(random), randomLines(random)
		var a, b []string
		for _, line := range middle(before, after) {
			if line[0] != '+' {
				a = append(a, line[1:])
			}
			if line[0] != '-' {
				b = append(b, line[1:])
			}
		}
		if strings.Join(a, "\n") != strings.Join(before, "\n") || strings.Join(b, "\n") != strings.Join(after, "\n") {
			t.Fatalf("%q to %q: %q", before, after, middle(before, after))
		}
	}
	huge := strings.Repeat("x\n", 10_000) + "1\n"
	if got := diff("0\n"+huge, "2\n"+strings.Repeat("y\n", 10_000)); !strings.Contains(got, "-0\n") || !strings.Contains(got, "+2\n") {
		t.Error("huge texts are not compared")
	}
}

func randomLines(r *rand.Rand) []string {
	lines := make([]string, r.IntN(12))
	for i := range lines {
		lines[i] = string(rune('a' + r.IntN(4)))
	}
	return lines
}
