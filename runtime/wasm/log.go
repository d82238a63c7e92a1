package wasm

import (
	"bytes"
	"strings"
)

// maxLine is where a line of output is cut.
const maxLine = 8 << 10

// lineWriter cuts what a module writes into lines.
type lineWriter struct {
	emit func(line string)
	part []byte
	over bool // the current line was cut; drop the rest of it
	// last is the last line of the call, cause the first one with which a language begins to tell why it gives up.
	last, cause string
}

// begin forgets the lines of the call before.
func (w *lineWriter) begin() { w.last, w.cause = "", "" }

// lastWords gives the line that most likely says why the module has ended.
func (w *lineWriter) lastWords() string {
	if w.cause != "" {
		return w.cause
	}
	return w.last
}

// Write never fails, so that a module never sees a broken pipe.
func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte{'\n'})
		if room := maxLine - len(w.part); !w.over && len(line) > room {
			line, w.over = line[:room], true
			w.part = append(w.part, line...)
		} else if !w.over {
			w.part = append(w.part, line...)
		}
		if ended {
			w.flush()
		}
		p = rest
	}
	return n, nil
}

func (w *lineWriter) flush() {
	w.last = strings.ToValidUTF8(string(bytes.TrimSuffix(w.part, []byte{'\r'})), "\uFFFD")
	if w.cause == "" && (strings.HasPrefix(w.last, "panic: ") || strings.HasPrefix(w.last, "fatal error: ") || strings.Contains(w.last, " panicked at ")) {
		w.cause = w.last
	}
	w.emit(w.last)
	w.part, w.over = w.part[:0], false
}

// end emits an unfinished last line.
func (w *lineWriter) end() {
	if len(w.part) > 0 {
		w.flush()
	}
}
