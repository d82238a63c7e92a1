package invoke

import (
	"context"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// outcome is a reply of a function, with the version of the object that the function saw.
type outcome struct {
	reply   *function.Reply
	version uint64
}

// onObject runs a method of an object within its turn.
func (r *running) onObject(ctx context.Context) (call.Answer, error) {
	fingerprint := uint64(0)
	key := r.resultKey()
	if key != "" {
		fingerprint = Fingerprint(r.call.Method, r.call.ContentType, r.call.Payload)
		answer, found, err := r.stored(ctx, key, fingerprint)
		if err != nil || found {
			return answer, err
		}
	}
	out, err := retry(ctx, r, r.attempt)
	if err != nil {
		return call.Answer{}, err
	}
	answer := call.Answer{Payload: out.reply.Payload, ContentType: out.reply.ContentType, Version: out.version}
	if !r.worthCommit(out.reply, key) {
		return answer, nil
	}
	answer.Version, err = r.commit(ctx, out, key, fingerprint)
	if err != nil {
		return call.Answer{}, err
	}
	return answer, nil
}

// worthCommit tells whether anything has to be kept of a successful call: changes, a result that is asked for again, or an event.
func (r *running) worthCommit(reply *function.Reply, key string) bool {
	return reply.Changes() || key != "" || r.call.Invocation != "" ||
		r.shard.Wants(r.call.Ref.ID, r.call.Method, oprc.EventType_EVENT_TYPE_FUNC_COMPLETE)
}

// resultKey gives the name under which the result is stored, or "". Those of asynchronous calls have a name space of their own.
func (r *running) resultKey() string {
	switch {
	case r.method.ReadOnly:
		return ""
	case r.call.Invocation != "":
		return "inv:" + r.call.Invocation
	case r.call.IdempotencyKey != "":
		return "key:" + r.call.IdempotencyKey
	}
	return ""
}

// stored gives the result that an earlier call left under the key.
func (r *running) stored(ctx context.Context, key string, fingerprint uint64) (answer call.Answer, found bool, err error) {
	c := &r.call
	stored, err := r.shard.StoredResult(ctx, c.Ref.ID, c.Method, key)
	if err != nil || stored == nil {
		return call.Answer{}, false, err
	}
	if stored.GetFingerprint() != fingerprint {
		return call.Answer{}, false, fault.New(fault.IdempotencyMismatch,
			"idempotency key %q was used for %s/%s before, with another payload; use a new key for a new request", key[len("key:"):], c.Ref, c.Method)
	}
	out := stored.GetOutcome()
	return call.Answer{Payload: out.GetPayload(), ContentType: out.GetContentType(), Version: out.GetVersion(), Replayed: true}, true, nil
}

// Fingerprint gives a number that tells requests apart which use the same idempotency key. It is stored, so it never changes.
func Fingerprint(method, contentType string, payload []byte) uint64 {
	h := xxhash.New()
	for _, part := range []string{method, contentType} {
		_, _ = h.WriteString(strconv.Itoa(len(part)) + ":" + part) // a hash takes everything
	}
	_, _ = h.Write(payload)
	return h.Sum64()
}

// attempt reads the state, has the function run, and checks its reply.
func (r *running) attempt(ctx context.Context, number int) (outcome, error) {
	c := &r.call
	obj, err := r.shard.Object(ctx, c.Ref.ID, r.method.State)
	exists := err == nil
	if err != nil && fault.CodeOf(err) != fault.NoObject {
		return outcome{}, err
	}
	told := r.callOf(&obj, exists)
	answered, err := r.exchange(ctx, &told, number)
	if err != nil {
		return outcome{}, err
	}
	if answered.failed() {
		return outcome{}, r.functionError(answered)
	}
	reply, err := function.DecodeResponse(answered.contentType(), answered.body, function.Limits{Body: r.cfg.MaxReply})
	if err != nil {
		return outcome{}, r.badReply("%v", err)
	}
	if r.method.ReadOnly && reply.Changes() {
		return outcome{}, r.badReply("the method is readonly, but its reply sets %d entries, deletes %d and emits %d events",
			len(reply.Set), len(reply.Delete), len(reply.Events))
	}
	return outcome{reply: reply, version: obj.Version}, nil
}

// callOf gives what the function is told.
func (r *running) callOf(obj *object.Object, exists bool) function.Call {
	c := &r.call
	out := function.Call{
		Class: c.Ref.Class, Partition: c.Ref.Partition, Object: c.Ref.ID, Method: c.Method, Readonly: r.method.ReadOnly,
		Version: obj.Version, Exists: exists, Payload: c.Payload, ContentType: c.ContentType, Options: c.Options, Caller: c.Caller,
	}
	if len(obj.State) > 0 {
		out.Entries = make([]function.Entry, len(obj.State))
		for i, e := range obj.State {
			out.Entries[i] = function.Entry{Key: e.Key, Value: function.Value{Data: e.Data, Type: function.Type(e.Type), Version: e.Version}}
		}
	}
	return out
}

// badReply is the failure of a function whose answer breaks the contract.
func (r *running) badReply(format string, args ...any) error {
	reason := fault.New(fault.BadReply, format, args...)
	return fault.New(fault.BadReply, "function %s, method %s: bad reply: %s; nothing was changed", r.method.Function, r.call.Method, reason.Message)
}

// commit makes one command of the reply. Calls that came back into this turn are over by then, and must not have written the same entries.
func (r *running) commit(ctx context.Context, out outcome, key string, fingerprint uint64) (version uint64, err error) {
	if err := r.turn.Seal(ctx); err != nil {
		return 0, err
	}
	keys := changedKeys(out.reply)
	if err := r.turn.Conflicts(keys); err != nil {
		return 0, err
	}
	result, err := r.shard.Do(ctx, r.writeCommand(ctx, out.reply, key, fingerprint))
	if err != nil {
		return 0, err
	}
	r.turn.Wrote(keys, false)
	return result.Version, nil
}

func changedKeys(reply *function.Reply) []string {
	keys := make([]string, 0, len(reply.Set)+len(reply.Delete))
	for i := range reply.Set {
		keys = append(keys, reply.Set[i].Key)
	}
	return append(keys, reply.Delete...)
}

// writing is the memory of the messages that every commit has.
type writing struct {
	command    record.Command
	body       record.Command_Write
	write      record.Write
	completion record.Completion
}

func (r *running) writeCommand(ctx context.Context, reply *function.Reply, key string, fingerprint uint64) *record.Command {
	c, w := &r.call, new(writing)
	w.command.Body, w.body.Write, w.write.Completion = &w.body, &w.write, &w.completion

	done := &w.completion
	done.Method, done.IdempotencyKey, done.Fingerprint = c.Method, key, fingerprint
	done.Payload, done.ContentType, done.Invocation = reply.Payload, reply.ContentType, c.Invocation

	write := &w.write
	write.Object, write.Deletes, write.NoCreate = c.Ref.ID, reply.Delete, true
	write.Depth, write.Traceparent = c.Depth, traceparent(ctx)
	write.Puts = putsOf(reply.Set)
	for i := range reply.Events {
		e := &reply.Events[i]
		write.Emits = append(write.Emits, &record.Emit{
			Id: c.ID + "/" + strconv.Itoa(i+1), Type: e.Type, Subject: e.Subject, Data: e.Data, ContentType: e.ContentType, Extensions: e.Extensions,
		})
	}
	return &w.command
}

func putsOf(entries []function.Entry) []*record.Put {
	if len(entries) == 0 {
		return nil
	}
	puts, memory := make([]*record.Put, len(entries)), make([]record.Put, len(entries))
	for i := range entries {
		e, p := &entries[i], &memory[i]
		p.Key, p.Data, p.Type = e.Key, e.Data, oprc.ValType(e.Type)
		puts[i] = p
	}
	return puts
}
