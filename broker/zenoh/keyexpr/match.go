package keyexpr

import "strings"

const (
	doubleStar = "**" // any number of chunks, also none
	subWild    = "$*" // any number of characters in a chunk, also none
)

// verbatim tells whether a chunk is matched by nothing but itself.
func verbatim(chunk string) bool { return chunk[0] == '@' }

// chunkAt gives the chunk that begins at i and where the next one begins, which is len(s) after the last.
func chunkAt(s string, i int) (chunk string, next int) {
	if n := strings.IndexByte(s[i:], '/'); n >= 0 {
		return s[i : i+n], i + n + 1
	}
	return s[i:], len(s)
}

// intersects works on valid canonical text. The empty text is a list of no chunks.
//
// No wildcard covers a verbatim chunk, so two expressions can only meet in a key with exactly the verbatim chunks of both: these are cut out
// and must be equal one by one, and the stretches between them are compared on their own.
func intersects(a, b string) bool {
	if a == b {
		return true
	}
	if strings.IndexByte(a, '*') < 0 && strings.IndexByte(b, '*') < 0 {
		return false
	}
	for {
		i, j := verbatimAt(a), verbatimAt(b)
		if i < 0 || j < 0 {
			return i == j && stretchIntersects(a, b)
		}
		va, restA := chunkAt(a, i)
		vb, restB := chunkAt(b, j)
		if va != vb || !stretchIntersects(a[:max(i-1, 0)], b[:max(j-1, 0)]) {
			return false
		}
		a, b = a[restA:], b[restB:]
	}
}

// verbatimAt gives where the first verbatim chunk begins, or -1.
func verbatimAt(s string) int {
	for from := 0; ; {
		i := strings.IndexByte(s[from:], '@')
		if i < 0 {
			return -1
		}
		if i += from; i == 0 || s[i-1] == '/' {
			return i
		}
		from = i + 1
	}
}

// stretchIntersects is intersects for text without verbatim chunks.
func stretchIntersects(a, b string) bool {
	deepA, deepB := strings.Contains(a, doubleStar), strings.Contains(b, doubleStar)
	switch {
	case deepA && deepB:
		return endsIntersect(a, b)
	case deepA:
		return glob(a, b, chunkIntersects)
	case deepB:
		return glob(b, a, chunkIntersects)
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		var ca, cb string
		ca, i = chunkAt(a, i)
		cb, j = chunkAt(b, j)
		if !chunkIntersects(ca, cb) {
			return false
		}
	}
	return i == len(a) && j == len(b)
}

// endsIntersect is for two stretches with ** in both. Whatever stands between the outermost ** of one can be put under a ** of the other, so
// they meet if what stands before the first ** agrees as far as both have it, and the same at the end.
func endsIntersect(a, b string) bool {
	for i, j := 0, 0; ; {
		var ca, cb string
		ca, i = chunkAt(a, i)
		cb, j = chunkAt(b, j)
		if ca == doubleStar || cb == doubleStar {
			break
		}
		if !chunkIntersects(ca, cb) {
			return false
		}
	}
	for {
		i, j := strings.LastIndexByte(a, '/'), strings.LastIndexByte(b, '/')
		ca, cb := a[i+1:], b[j+1:]
		if ca == doubleStar || cb == doubleStar {
			return true
		}
		if !chunkIntersects(ca, cb) {
			return false
		}
		a, b = a[:i], b[:j]
	}
}

// glob matches text against a pattern with **, where match compares a chunk of each. It takes the leftmost place for what stands between two
// **, which is never worse than a later one, so it goes back at most to the ** that it met last.
func glob(pattern, text string, match func(p, t string) bool) bool {
	p, t := 0, 0
	star, mark := -1, 0 // behind the last **, and where the text stood that it has not swallowed
	for p < len(pattern) || t < len(text) {
		if p < len(pattern) {
			chunk, next := chunkAt(pattern, p)
			if chunk == doubleStar {
				if next == len(pattern) {
					return verbatimAt(text[t:]) < 0
				}
				p, star, mark = next, next, t
				continue
			}
			if t < len(text) {
				if other, after := chunkAt(text, t); match(chunk, other) {
					p, t = next, after
					continue
				}
			}
		}
		if star < 0 || mark == len(text) {
			return false
		}
		swallowed, after := chunkAt(text, mark)
		if verbatim(swallowed) {
			return false
		}
		p, t, mark = star, after, after
	}
	return true
}

// chunkIntersects compares chunks other than **.
func chunkIntersects(a, b string) bool {
	if a == b {
		return true
	}
	if verbatim(a) || verbatim(b) {
		return false
	}
	if a == "*" || b == "*" {
		return true
	}
	i, j := strings.Index(a, subWild), strings.Index(b, subWild)
	switch {
	case i >= 0 && j >= 0:
		n := min(i, j)
		return a[:n] == b[:n] && endsAgree(a[strings.LastIndex(a, subWild)+len(subWild):], b[strings.LastIndex(b, subWild)+len(subWild):])
	case i >= 0:
		return subGlob(a, b)
	case j >= 0:
		return subGlob(b, a)
	}
	return false
}

// endsAgree tells whether one text ends in the other.
func endsAgree(a, b string) bool { return strings.HasSuffix(a, b) || strings.HasSuffix(b, a) }

// subGlob matches a chunk against one with $*. A $* in the text is two characters that no literal is equal to, so only a $* swallows it.
func subGlob(pattern, text string) bool {
	head, pattern, _ := strings.Cut(pattern, subWild)
	if !strings.HasPrefix(text, head) {
		return false
	}
	text = text[len(head):]
	for {
		middle, rest, more := strings.Cut(pattern, subWild)
		if !more {
			return strings.HasSuffix(text, pattern)
		}
		i := strings.Index(text, middle)
		if i < 0 {
			return false
		}
		text, pattern = text[i+len(middle):], rest
	}
}

// includes works on valid canonical text. A ** of b is a chunk that only a ** of a swallows.
func includes(a, b string) bool {
	if a == b {
		return true
	}
	if strings.IndexByte(a, '*') < 0 {
		return false
	}
	return glob(a, b, chunkIncludes)
}

// chunkIncludes tells whether chunk a, which is not **, matches whatever chunk b does.
func chunkIncludes(a, b string) bool {
	if a == b {
		return true
	}
	if verbatim(a) || verbatim(b) || b == doubleStar {
		return false
	}
	if a == "*" {
		return true
	}
	return b != "*" && strings.Contains(a, subWild) && subGlob(a, b)
}
