package invoke

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"

	"github.com/hpcclab/oaas-go/odgm/call"
)

// Caller gives the method that makes a call, as its chain proves: the last hop, if the chain is the one that was handed to the function of that hop,
// and the hop still runs, as far as this process can know: of calls that run in another process that has the same secret it cannot. A chain that was handed on further, cut or made up proves nothing: found is false. A proven call that has ended is refused
// with StaleCall.
func (x *Executor) Caller(chain call.Chain) (hop call.Hop, found bool, err error) {
	hop, found = chain.Caller()
	if !found || subtle.ConstantTimeCompare([]byte(hop.Proof), []byte(x.proof(hop.Call))) != 1 {
		return call.Hop{}, false, nil
	}
	hop.Proof = ""
	return hop, true, x.cfg.Boxes.Running(hop)
}

// proof gives what only the function that runs a call is told: those that it calls see its id, but not this. It is a keyed hash of the id, cut to
// half so that nobody can extend it.
func (x *Executor) proof(callID string) string {
	text := make([]byte, 0, len(x.secret)+64)
	text = append(append(text, x.secret[:]...), callID...)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:len(sum)/2])
}
