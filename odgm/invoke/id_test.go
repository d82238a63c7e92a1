package invoke

import (
	"strings"
	"testing"
	"time"
)

func TestNewID(t *testing.T) {
	if id := newID(time.UnixMilli(1469918176385)); !strings.HasPrefix(id, "01aryz6s41") { // the example of the ULID specification
		t.Errorf("id %s", id)
	}
	if id := newID(time.UnixMilli(0)); !strings.HasPrefix(id, "0000000000") || len(id) != 26 {
		t.Errorf("id %s of the year 1970", id)
	}
	if id := newID(time.UnixMilli(1<<48 - 1)); !strings.HasPrefix(id, "7zzzzzzzzz") {
		t.Errorf("id %s of the last millisecond", id)
	}
	seen := map[string]bool{}
	last := ""
	for i := range 1000 {
		id := newID(time.UnixMilli(1_700_000_000_000 + int64(i)))
		if seen[id] || id <= last || strings.Trim(id, digits) != "" {
			t.Fatalf("id %s after %s", id, last)
		}
		seen[id], last = true, id
	}
	if a, b := NewID(), NewID(); a == b {
		t.Errorf("two equal ids: %s", a)
	}
}

func TestFingerprintNeverChanges(t *testing.T) {
	if got := Fingerprint("add", "text/plain", []byte("p")); got != 0x5d05cf7476bae1e0 {
		t.Errorf("%#x: stored results would be refused after an update", got)
	}
	seen := map[uint64]bool{}
	for _, r := range [][3]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "", "abc"}, {"a", "b", "d"}, {"", "a", "bc"}} {
		f := Fingerprint(r[0], r[1], []byte(r[2]))
		if seen[f] {
			t.Errorf("%v has the fingerprint of another request", r)
		}
		seen[f] = true
	}
}

func TestBackoff(t *testing.T) {
	for attempt := range 40 {
		pause := backoff(attempt)
		most := min(firstPause<<min(max(attempt-2, 0), 10), mostPause)
		if pause < most/2 || pause > most {
			t.Errorf("attempt %d: %v, want %v to %v", attempt, pause, most/2, most)
		}
	}
}
