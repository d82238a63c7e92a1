package dev

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hpcclab/oaas-go/dev/control"
)

// Screen shows people what a platform does: where it listens, then a line for each thing that happens. On a terminal, the state of the
// functions stands below the newest line.
type Screen struct {
	Out io.Writer
	// Terminal allows moving the cursor, Color colours.
	Terminal, Color bool
	// Width gives the columns of the terminal; nil is 80.
	Width func() int
	// Logs shows what functions write, too.
	Logs bool

	// drawn is the number of lines of the block below the newest line.
	drawn int
	// frame collects what is written until flush, so that a busy platform does not pay for each line.
	frame bytes.Buffer
}

// Colours of kinds of activity.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	blue   = "34"
	cyan   = "36"
	grey   = "90"
	bold   = "1"
)

var kindColors = map[string]string{
	control.KindCall: green, control.KindTrigger: cyan, control.KindFunction: blue, control.KindScale: yellow,
	control.KindReload: blue, control.KindError: red, control.KindLog: grey,
}

const (
	// refresh is how often the block of functions is drawn anew when nothing happens.
	refresh = time.Second
	// pause is the least time between two frames, and frameLines the most activities that one shows: nobody can read more.
	pause      = 50 * time.Millisecond
	frameLines = 50
)

// header tells where things are.
func (s *Screen) header(st control.Status, took time.Duration) {
	name := "oaas dev"
	if st.Version != "" {
		name += " " + st.Version
	}
	mesh := st.Zenoh
	if st.ZenohNote != "" {
		mesh += "  (" + st.ZenohNote + ")"
	}
	s.printf("%s  ready in %s\n", s.paint(bold, name), took.Round(time.Millisecond))
	for _, row := range [][2]string{
		{"gateway", st.Address}, {"events", st.Address + "/events"}, {"metrics", st.Address + "/metrics"}, {"zenoh", mesh}, {"data", st.DataDir},
	} {
		s.printf("  %-9s%s\n", row[0], row[1])
	}
	s.printf("  %-9s%s\n\n", "next", "oaas func create NAME -t go, oaas func deploy NAME; stop with Ctrl-C")
	s.flush()
}

// run shows what happens until the platform stops.
func (s *Screen) run(p *platform) {
	ticker := time.NewTicker(refresh)
	defer ticker.Stop()
	from, last := uint64(0), ""
	for {
		news, changed := p.activity.since(from)
		block := s.block(p)
		if text := strings.Join(block, "\n"); len(news) > 0 || text != last {
			s.erase()
			for _, a := range s.thin(news) {
				s.show(a)
			}
			if len(news) > 0 {
				from = news[len(news)-1].Seq
			}
			s.draw(block)
			s.flush()
			last = text
		}
		if !s.wait(p, changed, ticker.C) {
			s.erase()
			s.printf("stopping; press Ctrl-C again to stop at once\n")
			s.flush()
			return
		}
	}
}

// wait waits for something new, but at least the pause; it gives false when the platform stops.
func (s *Screen) wait(p *platform, changed <-chan struct{}, tick <-chan time.Time) bool {
	select {
	case <-p.stopping.Done():
		return false
	case <-time.After(pause):
	}
	select {
	case <-p.stopping.Done():
		return false
	case <-changed:
	case <-tick:
	}
	return true
}

// thin leaves out the oldest calls, triggers and log lines of a frame that has too many lines to read; everything else is shown.
func (s *Screen) thin(news []control.Activity) []control.Activity {
	surplus := len(news) - frameLines
	if surplus <= 0 {
		return news
	}
	kept := make([]control.Activity, 0, len(news))
	left := uint64(0)
	for _, a := range news {
		common := a.Kind == control.KindCall || a.Kind == control.KindTrigger || a.Kind == control.KindLog
		if common && surplus > 0 {
			surplus--
			left += 1 + a.Missed
			continue
		}
		a.Missed += left
		left = 0
		kept = append(kept, a)
	}
	return kept
}

// show writes one activity.
func (s *Screen) show(a control.Activity) {
	if a.Kind == control.KindLog && !s.Logs {
		return
	}
	if a.Missed > 0 {
		s.printf("… %d lines are left out\n", a.Missed)
	}
	lines := strings.Split(strings.TrimRight(describe(a), "\n"), "\n")
	s.printf("%s %s %s\n", s.paint(grey, a.Time.Local().Format(time.TimeOnly)), s.paint(kindColors[a.Kind], fmt.Sprintf("%-8s", a.Kind)), lines[0])
	for _, more := range lines[1:] {
		s.printf("         %s\n", more)
	}
	if a.Hint != "" {
		s.printf("         %s %s\n", s.paint(cyan, "hint:"), a.Hint)
	}
}

// describe gives the text of an activity, without time and kind.
func describe(a control.Activity) string {
	var parts []string
	add := func(text string) {
		if text != "" {
			parts = append(parts, text)
		}
	}
	switch {
	case a.Object != "":
		add(a.Class + "/" + a.Object + " " + a.Method)
	case a.Class != "":
		add(strings.TrimSpace(a.Class + " " + a.Method))
	case a.Function != "":
		add(a.Function)
	default:
		add(a.Package)
	}
	if a.Status != 0 {
		add(fmt.Sprint(a.Status))
	}
	if a.Millis > 0 {
		add(duration(a.Millis))
	}
	add(a.Message)
	return strings.Join(parts, "  ")
}

// duration gives milliseconds as people read them.
func duration(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// mostFunctions is how many functions the block shows.
const mostFunctions = 12

// block gives the lines that tell the state of the functions.
func (s *Screen) block(p *platform) []string {
	if !s.Terminal {
		return nil
	}
	functions := p.functions()
	if len(functions) == 0 {
		return []string{s.paint(grey, "no functions yet")}
	}
	lines := []string{s.paint(grey, strings.Repeat("─", 40))}
	for i, f := range functions {
		if i == mostFunctions {
			lines = append(lines, fmt.Sprintf("… and %d more", len(functions)-i))
			break
		}
		text := fmt.Sprintf("%-24s %-7s %-9s %d running", f.Name, f.Runtime, f.State, f.Instances)
		if f.Queued > 0 {
			text += fmt.Sprintf(", %d waiting", f.Queued)
		}
		lines = append(lines, s.paint(stateColor(f.State), s.fit(text)))
	}
	return lines
}

func stateColor(state string) string {
	switch state {
	case stateReady:
		return green
	case stateFailing:
		return red
	case stateStarting:
		return yellow
	}
	return grey
}

// fit cuts a line to the width of the terminal, as one that wraps could not be erased.
func (s *Screen) fit(text string) string {
	width := 80
	if s.Width != nil {
		width = s.Width()
	}
	if width > 1 && utf8.RuneCountInString(text) >= width {
		return string([]rune(text)[:width-2]) + "…"
	}
	return text
}

func (s *Screen) draw(block []string) {
	for _, line := range block {
		s.printf("%s\n", line)
	}
	s.drawn = len(block)
}

func (s *Screen) erase() {
	if s.drawn > 0 {
		s.printf("\x1b[%dA\x1b[J", s.drawn)
	}
	s.drawn = 0
}

func (s *Screen) paint(color, text string) string {
	if !s.Color || color == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// printf adds to the frame.
func (s *Screen) printf(format string, args ...any) { fmt.Fprintf(&s.frame, format, args...) }

// flush writes the frame to the screen; one that is gone has nobody to tell.
func (s *Screen) flush() {
	_, _ = s.Out.Write(s.frame.Bytes())
	s.frame.Reset()
}
