package runner

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"
)

// Streams of a [LogLine].
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// maxLine is where a line of output is cut. It keeps one runaway line from taking the memory of a thousand.
const maxLine = 8 << 10

// LogLine is one line that a function wrote.
type LogLine struct {
	Time     time.Time
	Function string
	Revision string
	PID      int
	Stream   string // Stdout or Stderr
	Text     string // without the line end; valid UTF-8
	Cut      bool   // the line was longer
	Missed   int    // lines before this one that a slow reader did not get
}

// logBuffer keeps the last lines of a function and lets readers follow. Its lock is a leaf: nothing is called while it is held.
type logBuffer struct {
	capacity int

	mu      sync.Mutex
	lines   []LogLine // line n is at n % capacity
	next    int       // number of lines ever added
	changed chan struct{}
	closed  bool
}

func newLogBuffer(capacity int) *logBuffer {
	return &logBuffer{capacity: capacity, changed: make(chan struct{})}
}

// add appends a line, in the place of the oldest one when the buffer is full.
func (b *logBuffer) add(line LogLine) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines) < b.capacity {
		b.lines = append(b.lines, line)
	} else {
		b.lines[b.next%b.capacity] = line
	}
	b.next++
	close(b.changed)
	b.changed = make(chan struct{})
}

// close ends all readers that follow.
func (b *logBuffer) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		close(b.changed)
		b.changed = make(chan struct{})
	}
}

// since copies the lines from number from on. It gives the number to go on with, how many were lost, and what to wait on.
func (b *logBuffer) since(from int) (lines []LogLine, next, missed int, changed <-chan struct{}, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	oldest := b.next - len(b.lines)
	if from < oldest {
		missed, from = oldest-from, oldest
	}
	for n := from; n < b.next; n++ {
		lines = append(lines, b.lines[n%b.capacity])
	}
	return lines, b.next, missed, b.changed, b.closed
}

// read calls fn for the last tail lines (all kept ones if tail is negative) and, with follow, for those that come.
func (b *logBuffer) read(ctx context.Context, follow bool, tail int, fn func(LogLine)) error {
	lines, next, _, changed, closed := b.since(0)
	if tail >= 0 && len(lines) > tail {
		lines = lines[len(lines)-tail:]
	}
	for {
		for _, l := range lines {
			if err := ctx.Err(); err != nil {
				return err
			}
			fn(l)
		}
		if !follow || closed {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
		var missed int
		lines, next, missed, changed, closed = b.since(next)
		if missed > 0 && len(lines) > 0 {
			lines[0].Missed = missed
		}
	}
}

// lineWriter cuts a stream into lines. One goroutine writes to it.
type lineWriter struct {
	emit func(text string, cut bool)
	part []byte
	over bool // the current line was cut; drop the rest of it
}

// Write never fails, so that the function never gets a broken pipe.
func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte{'\n'})
		if room := maxLine - len(w.part); len(line) > room {
			line, w.over = line[:room], true
		}
		w.part = append(w.part, line...)
		if ended {
			w.flush()
		}
		p = rest
	}
	return n, nil
}

// flush emits what stands before the line end, or before the end of the stream.
func (w *lineWriter) flush() {
	text := strings.ToValidUTF8(string(bytes.TrimSuffix(w.part, []byte{'\r'})), "\uFFFD")
	w.emit(text, w.over)
	w.part, w.over = w.part[:0], false
}

// end emits an unfinished last line.
func (w *lineWriter) end() {
	if len(w.part) > 0 {
		w.flush()
	}
}

// tailBuffer keeps the last lines of one process, for the report of its crash.
type tailBuffer struct {
	mu    sync.Mutex
	lines []string
}

// tailLines is how many lines a crash report carries.
const tailLines = 20

func (t *tailBuffer) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == tailLines {
		copy(t.lines, t.lines[1:])
		t.lines = t.lines[:tailLines-1]
	}
	t.lines = append(t.lines, line)
}

func (t *tailBuffer) last() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.lines...)
}
