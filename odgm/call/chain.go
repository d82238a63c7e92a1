package call

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// MaxChain is the most calls that a chain may have; a call beyond it is refused with LoopDetected.
const MaxChain = 16

// Hop is one call of a chain: a method that is running on an object, on whose behalf the next one is made.
type Hop struct {
	Ref    object.Ref
	Method string
	// Call is the id of the running call. It cannot be guessed, so naming it proves that the chain came through that call.
	Call string
	// Proof shows that a chain was made for the function that runs this call: only that function is told it. Calls that are made further down name the
	// hop without it. Only the last hop of a chain has one.
	Proof string
}

// Chain has the running calls that led to a call, outermost first. Empty for a call from outside.
type Chain []Hop

// String gives the header form: hops separated by commas, each class/partition/object/method@call, the last one with !proof.
func (c Chain) String() string {
	const perHop = 96 // a guess that fits most
	text := make([]byte, 0, perHop*len(c))
	for i, h := range c {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(text, h.Ref.Class...), '/')
		text = append(strconv.AppendUint(text, uint64(h.Ref.Partition), 10), '/')
		text = append(append(text, h.Ref.ID...), '/')
		text = append(append(text, h.Method...), '@')
		text = append(text, h.Call...)
		if h.Proof != "" {
			text = append(append(text, '!'), h.Proof...)
		}
	}
	return string(text)
}

// Path gives the chain for people, without call ids: a → b → c.
func (c Chain) Path() string {
	steps := make([]string, len(c))
	for i, h := range c {
		steps[i] = h.Ref.String() + "/" + h.Method
	}
	return strings.Join(steps, " → ")
}

// Root gives the id of the outermost call, or "".
func (c Chain) Root() string {
	if len(c) == 0 {
		return ""
	}
	return c[0].Call
}

// With gives the chain with one hop more, before which no hop has its proof any more; c is unchanged.
func (c Chain) With(h Hop) Chain { return append(c.Plain()[:len(c):len(c)], h) }

// Plain gives the chain without proof; c is unchanged.
func (c Chain) Plain() Chain {
	last := len(c) - 1
	if last < 0 || c[last].Proof == "" {
		return c
	}
	plain := slices.Clone(c)
	plain[last].Proof = ""
	return plain
}

// Caller gives the last hop, which is the one that makes the call; found is false for an empty chain.
func (c Chain) Caller() (h Hop, found bool) {
	if len(c) == 0 {
		return Hop{}, false
	}
	return c[len(c)-1], true
}

// Parse reads the header form. Empty text is an empty chain; anything malformed or longer than MaxChain is refused.
func Parse(text string) (Chain, error) {
	if text == "" {
		return nil, nil
	}
	parts := strings.Split(text, ",")
	if len(parts) > MaxChain {
		return nil, fault.New(fault.LoopDetected, "call chain has %d calls, at most %d are allowed", len(parts), MaxChain)
	}
	chain := make(Chain, 0, len(parts))
	for i, part := range parts {
		hop, ok := parseHop(part)
		if !ok || (hop.Proof != "" && i < len(parts)-1) {
			return nil, fault.New(fault.InvalidArgument, "call chain: %q is not class/partition/object/method@call", part)
		}
		chain = append(chain, hop)
	}
	return chain, nil
}

func parseHop(text string) (Hop, bool) {
	where, id, found := strings.Cut(text, "@")
	id, proof, proven := strings.Cut(id, "!")
	if !found || id == "" || (proven && proof == "") {
		return Hop{}, false
	}
	fields := strings.Split(where, "/")
	if len(fields) != 4 || fields[0] == "" || fields[3] == "" {
		return Hop{}, false
	}
	partition, err := strconv.ParseUint(fields[1], 10, 16)
	if err != nil {
		return Hop{}, false
	}
	return Hop{Ref: object.Ref{Class: fields[0], Partition: uint32(partition), ID: fields[2]}, Method: fields[3], Call: id, Proof: proof}, true
}
