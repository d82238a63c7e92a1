package zenoh

import (
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Reply is an answer to a get: a sample, or an error.
type Reply struct {
	sample  Sample
	err     *ReplyError
	replier EntityGlobalID
}

// IsOk tells whether the reply is a sample.
func (r Reply) IsOk() bool { return r.err == nil }

// Ok gives the sample, if it is one.
func (r Reply) Ok() (Sample, bool) { return r.sample, r.err == nil }

// Sample gives the sample, or the zero one.
func (r Reply) Sample() Sample { return r.sample }

// Err gives the error, which is a *ReplyError, or nil for a sample.
func (r Reply) Err() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

// ReplierID tells which queryable answered, if it told.
func (r Reply) ReplierID() EntityGlobalID { return r.replier }

func (r *Reply) weight() int {
	if r.err != nil {
		return len(r.err.payload)
	}
	return r.sample.weight()
}

// response takes a reply from another node.
func (f *face) response(m *wire.Response) {
	q := f.s.queries.find(m.ID)
	if q == nil {
		return // came too late
	}
	r := &f.reply
	*r = Reply{replier: m.Responder}
	if m.IsErr {
		r.err = &ReplyError{payload: f.t.Own(m.Err.Payload), encoding: encodingOf(m.Err.Encoding)}
		if m.Responder.EID == 0 && string(r.err.payload) == timeoutText {
			r.err.cause = ErrTimeout // a router gave up on a node
		}
		q.reply(r)
		return
	}
	if r.sample.key = q.keyOf(f.expand(&m.Key)); r.sample.key.IsZero() {
		return
	}
	f.s.learn(m.Reply.Data.Timestamp)
	r.sample.qos = m.QoS
	r.sample.fill(&m.Reply.Data, f.t)
	q.reply(r)
}
