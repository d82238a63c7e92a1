package shard

import (
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// DefaultResultTTL is how long results of calls are kept when the class does not say.
const DefaultResultTTL = 24 * time.Hour

func (m *Machine) resultTTL() int64 {
	if ttl := m.config.GetResultTtl(); ttl > 0 {
		return ttl
	}
	return int64(DefaultResultTTL)
}

// storeOutcome keeps the result of a method under its idempotency key, and as the result of its asynchronous call.
func (m *Machine) storeOutcome(tx engine.Tx, now int64, id string, version uint64, done *record.Completion) error {
	outcome := &record.Outcome{Payload: done.GetPayload(), ContentType: done.GetContentType(), Version: version}
	if key := done.GetIdempotencyKey(); key != "" {
		expires := now + m.resultTTL()
		stored := &record.StoredResult{Fingerprint: done.GetFingerprint(), Outcome: outcome, Expires: expires}
		if err := m.storeExpiring(tx, resultKey(id, done.GetMethod(), key), stored, expires); err != nil {
			return err
		}
	}
	if done.GetInvocation() == "" {
		return nil
	}
	return m.endInvocation(tx, now, done.GetInvocation(), record.InvocationState_INVOCATION_STATE_SUCCEEDED, outcome)
}

// failed fires the triggers on a method's failure and ends its asynchronous call, if any.
func (m *Machine) failed(tx engine.Tx, now int64, failure *record.Failed) (Result, error) {
	meta := &record.Meta{}
	exists, err := load(tx, metaKey(failure.GetObject()), meta)
	if err != nil {
		return Result{}, err
	}
	triggers, err := m.replaceTriggers(tx, &record.Write{Object: failure.GetObject()}, meta)
	if err != nil {
		return Result{}, err
	}
	if id := failure.GetInvocation(); id != "" {
		ended, err := m.endPending(tx, now, id, &record.Outcome{Version: meta.GetVersion(), Failure: failure.GetFailure()})
		if err != nil || !ended {
			return Result{Version: meta.GetVersion(), Existed: exists}, err
		}
	}
	f := m.firing(tx, now, failure.GetObject(), meta.GetVersion(), failure.GetDepth(), failure.GetTraceparent(), triggers)
	text := []byte(failure.GetFailure().GetMessage())
	if err := f.methodEnded(oprc.EventType_EVENT_TYPE_FUNC_ERROR, failure.GetMethod(), text, "text/plain; charset=utf-8"); err != nil {
		return Result{}, err
	}
	if err := f.finish(); err != nil {
		return Result{}, err
	}
	m.logChange(now, failure.GetObject(), meta.GetVersion(), nil, failureOf(failure))
	return Result{Version: meta.GetVersion(), Existed: exists, Events: f.fired}, nil
}

// endPending ends an invocation as failed; ended is false when it had ended already.
func (m *Machine) endPending(tx engine.Tx, now int64, id string, outcome *record.Outcome) (ended bool, err error) {
	inv := &record.Invocation{}
	found, err := load(tx, invocationKey(id), inv)
	if err != nil || !found || inv.GetState() != record.InvocationState_INVOCATION_STATE_PENDING {
		return false, err
	}
	return true, m.endInvocation(tx, now, id, record.InvocationState_INVOCATION_STATE_FAILED, outcome)
}

func (m *Machine) endInvocation(tx engine.Tx, now int64, id string, state record.InvocationState, outcome *record.Outcome) error {
	inv := &record.Invocation{}
	if _, err := load(tx, invocationKey(id), inv); err != nil {
		return err
	}
	// The request has done its duty; what is kept from here on is the result.
	inv.Payload = nil
	inv.State, inv.Outcome, inv.Finished, inv.Expires = state, outcome, now, now+m.resultTTL()
	if err := tx.Delete(pendingKey(id)); err != nil {
		return err
	}
	return m.storeExpiring(tx, invocationKey(id), inv, inv.GetExpires())
}

// submit keeps an asynchronous call; one of the same id is left as it is.
func (m *Machine) submit(tx engine.Tx, inv *record.Invocation) (Result, error) {
	known := &record.Invocation{}
	found, err := load(tx, invocationKey(inv.GetId()), known)
	if err != nil {
		return Result{}, err
	}
	if found {
		return Result{Existed: true, Invocation: known}, nil
	}
	inv.State = record.InvocationState_INVOCATION_STATE_PENDING
	if err := store(tx, invocationKey(inv.GetId()), inv); err != nil {
		return Result{}, err
	}
	return Result{Created: true, Invocation: inv}, tx.Put(pendingKey(inv.GetId()), nil)
}

// cancel ends a pending invocation; one that has ended stays as it is.
func (m *Machine) cancel(tx engine.Tx, now int64, id string) (Result, error) {
	inv := &record.Invocation{}
	found, err := load(tx, invocationKey(id), inv)
	if err != nil {
		return Result{}, err
	}
	if !found {
		return Result{}, unknownInvocation(id)
	}
	if inv.GetState() != record.InvocationState_INVOCATION_STATE_PENDING {
		return Result{Existed: true, Invocation: inv}, nil
	}
	err = m.endInvocation(tx, now, id, record.InvocationState_INVOCATION_STATE_CANCELLED, nil)
	if err != nil {
		return Result{}, err
	}
	ended := &record.Invocation{}
	_, err = load(tx, invocationKey(id), ended)
	return Result{Existed: true, Invocation: ended}, err
}

func unknownInvocation(id string) error {
	return fault.New(fault.NoInvocation, "no invocation %q is known; results are kept for a limited time after the end of the call", id)
}

// StateName gives the text of an invocation's state as clients see it.
func StateName(state record.InvocationState) string {
	switch state {
	case record.InvocationState_INVOCATION_STATE_PENDING:
		return "pending"
	case record.InvocationState_INVOCATION_STATE_SUCCEEDED:
		return "succeeded"
	case record.InvocationState_INVOCATION_STATE_FAILED:
		return "failed"
	case record.InvocationState_INVOCATION_STATE_CANCELLED:
		return "cancelled"
	}
	return "unknown"
}
