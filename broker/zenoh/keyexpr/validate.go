package keyexpr

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Reasons for which text is not a key expression.
var (
	// ErrEmptyChunk is for empty text, a leading or trailing slash, and two slashes in a row.
	ErrEmptyChunk = errors.New("empty chunk")
	// ErrForbidden is for the characters # and ?.
	ErrForbidden = errors.New("forbidden character")
	// ErrStray is for a * that is neither a chunk, nor the chunk **, nor behind $; and for a $ without *.
	ErrStray = errors.New("stray wildcard character")
	// ErrNotCanonical is for text that Canonize would change.
	ErrNotCanonical = errors.New("not in canonical form")
	// ErrUTF8 is for text that is not UTF-8.
	ErrUTF8 = errors.New("invalid UTF-8")
)

// SyntaxError tells why text is not a valid key expression. Err is one of the reasons above.
type SyntaxError struct {
	Expr   string
	Offset int // in bytes, where the trouble begins
	Err    error
}

// Error shows the reason, the place, and at most the first 128 bytes of the text, which may come from a hostile peer.
func (e *SyntaxError) Error() string {
	shown := e.Expr
	if len(shown) > 128 {
		shown = shown[:128] + "…"
	}
	return fmt.Sprintf("key expression %q: %v at byte %d", shown, e.Err, e.Offset)
}

// Unwrap gives the reason.
func (e *SyntaxError) Unwrap() error { return e.Err }

// cloneError moves an error of Validate off the memory that was borrowed for it.
func cloneError(err error) error {
	if syntax, ok := errors.AsType[*SyntaxError](err); ok {
		return &SyntaxError{Expr: strings.Clone(syntax.Expr), Offset: syntax.Offset, Err: syntax.Err}
	}
	return err
}

// Validate tells whether text is a valid, canonical key expression; the error is a *SyntaxError.
func Validate(s string) error {
	if offset, err := check(s); err != nil {
		return &SyntaxError{Expr: s, Offset: offset, Err: err}
	}
	return nil
}

// check reads the text once. It gives the offset of the trouble.
func check(s string) (int, error) {
	start, deep, ascii := 0, false, true // start of the chunk; whether the chunk before it is **
	for i := 0; i <= len(s); i++ {
		if i < len(s) {
			switch c := s[i]; c {
			case '/':
			case '#', '?':
				return i, ErrForbidden
			case '*', '$':
				end, err := checkWild(s, start, i)
				if err != nil {
					return i, err
				}
				i = end - 1
				continue
			default:
				ascii = ascii && c < utf8.RuneSelf
				continue
			}
		}
		chunk := s[start:i]
		switch chunk {
		case "":
			return start, ErrEmptyChunk
		case "$*":
			return start, ErrNotCanonical
		case "*", "**":
			if deep {
				return start, ErrNotCanonical
			}
		}
		deep = chunk == doubleStar
		start = i + 1
	}
	if !ascii && !utf8.ValidString(s) {
		return 0, ErrUTF8
	}
	return 0, nil
}

// checkWild reads the wildcard at i of the chunk that begins at start, and gives the offset behind it.
func checkWild(s string, start, i int) (int, error) {
	rest := s[i:]
	if rest[0] == '$' {
		switch {
		case !strings.HasPrefix(rest, subWild):
			return 0, ErrStray
		case strings.HasPrefix(rest[len(subWild):], subWild):
			return 0, ErrNotCanonical
		}
		return i + len(subWild), nil
	}
	chunk, _, _ := strings.Cut(rest, "/")
	if i != start || (chunk != "*" && chunk != doubleStar) {
		return 0, ErrStray
	}
	return i + len(chunk), nil
}

// Canonize gives the canonical form of text: $* alone in a chunk becomes *, $*$* becomes $*, and in each run of * and ** with at least one
// ** the stars come first and one ** last. Canonical text is given back without allocation; the error is a *SyntaxError.
func Canonize(s string) (string, error) {
	offset, err := check(s)
	switch {
	case err == nil:
		return s, nil
	case !errors.Is(err, ErrNotCanonical):
		return "", &SyntaxError{Expr: s, Offset: offset, Err: err}
	}
	var out strings.Builder
	out.Grow(len(s))
	write := func(chunk string) {
		if out.Len() > 0 {
			out.WriteByte('/')
		}
		out.WriteString(chunk)
	}
	deep := false // a ** is held back until the run of stars ends
	for chunk := range strings.SplitSeq(s, "/") {
		switch chunk = canonizeChunk(chunk); chunk {
		case "":
			return "", &SyntaxError{Expr: s, Offset: emptyChunk(s), Err: ErrEmptyChunk}
		case doubleStar:
			deep = true
		case "*":
			write(chunk)
		default:
			if deep {
				write(doubleStar)
				deep = false
			}
			write(chunk)
		}
	}
	if deep {
		write(doubleStar)
	}
	canonical := out.String()
	if offset, err := check(canonical); err != nil {
		return "", &SyntaxError{Expr: canonical, Offset: offset, Err: err}
	}
	return canonical, nil
}

// canonizeChunk collapses repeated $*, and makes a * of a chunk that has nothing else.
func canonizeChunk(chunk string) string {
	for strings.Contains(chunk, subWild+subWild) {
		chunk = strings.ReplaceAll(chunk, subWild+subWild, subWild)
	}
	if chunk == subWild {
		return "*"
	}
	return chunk
}

// emptyChunk gives the offset of the first empty chunk.
func emptyChunk(s string) int {
	switch i := strings.Index(s, "//"); {
	case strings.HasPrefix(s, "/"):
		return 0
	case i >= 0:
		return i + 1
	}
	return len(s)
}
