package gateway

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// submit keeps a call on disk and answers with where its result will be.
func (x *exchange) submit(c call.Call, t odgm.Target) error {
	inv, err := x.g.grid.InvokeAsync(&x.ctx, c, t)
	if err != nil {
		return err
	}
	partition := uint32(0)
	if inv.GetObject() != "" {
		ref, err := x.g.grid.Resolve(t)
		if err != nil {
			return err
		}
		partition = ref.Partition
	}
	location := "/api/class/" + url.PathEscape(t.Class) + "/" + strconv.FormatUint(uint64(partition), 10) + "/results/" + url.PathEscape(inv.GetId())
	h := x.w.Header()
	h["Location"] = []string{location}
	h["Preference-Applied"] = []string{"respond-async"}
	body := append([]byte(nil), `{"invocation_id":`...)
	body = oprc.AppendString(body, inv.GetId())
	body = append(body, `,"status":"`...)
	body = append(body, stateName(inv.GetState())...)
	body = append(body, `","location":`...)
	body = oprc.AppendString(body, location)
	x.send(http.StatusAccepted, contentJSON, append(body, '}'))
	return nil
}

// getResult tells how an asynchronous call stands. The parameter wait has the answer wait for its end; with raw=true it is the answer that the call
// would have given if it had not been asynchronous.
func getResult(x *exchange) error {
	partition, err := x.partition()
	if err != nil {
		return err
	}
	query := x.r.URL.Query()
	raw, err := parseBool("raw", query.Get("raw"))
	if err != nil {
		return err
	}
	ctx, cancel := context.Context(&x.ctx), context.CancelFunc(func() {})
	wait := query.Get("wait")
	if wait != "" {
		if ctx, cancel, err = x.waitContext(wait); err != nil {
			return err
		}
	}
	defer cancel()
	inv, err := x.g.grid.Invocation(ctx, x.param("cls"), partition, x.param("id"), wait != "")
	if err != nil {
		return err
	}
	if raw && inv.GetState() != record.InvocationState_INVOCATION_STATE_PENDING {
		return x.sendOutcome(inv)
	}
	status := http.StatusOK
	if raw {
		status = http.StatusAccepted
	}
	x.send(status, contentJSON, appendInvocation(nil, inv))
	return nil
}

// waitContext is what a client waits under for the end of a call: as long as it asks, at most the configured maximum, and not longer than the
// gateway serves.
func (x *exchange) waitContext(text string) (context.Context, context.CancelFunc, error) {
	wait, err := parseTimeout("parameter wait", text)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithDeadline(x.ctx.Context, x.began.Add(min(wait, x.g.cfg.MaxTimeout)))
	ignore := context.AfterFunc(x.g.stopping, cancel)
	return ctx, func() { ignore(); cancel() }, nil
}

func parseBool(name, text string) (bool, error) {
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, fault.New(fault.InvalidArgument, "parameter %s: %q is neither true nor false", name, text)
	}
	return value, nil
}

// cancelResult ends a call that has not ended, without effect, and tells how it stands.
func cancelResult(x *exchange) error {
	partition, err := x.partition()
	if err != nil {
		return err
	}
	inv, err := x.g.grid.Cancel(&x.ctx, x.param("cls"), partition, x.param("id"))
	if err != nil {
		return err
	}
	x.send(http.StatusOK, contentJSON, appendInvocation(nil, inv))
	return nil
}

// sendOutcome answers as the call itself would have.
func (x *exchange) sendOutcome(inv *record.Invocation) error {
	outcome := inv.GetOutcome()
	if failure := outcome.GetFailure(); failure != nil {
		return failureOf(failure)
	}
	if inv.GetState() == record.InvocationState_INVOCATION_STATE_CANCELLED {
		return fault.New(fault.Cancelled, "invocation %s was cancelled", inv.GetId())
	}
	answer := call.Answer{Payload: outcome.GetPayload(), ContentType: outcome.GetContentType(), Version: outcome.GetVersion()}
	x.sendAnswer(&answer)
	return nil
}

func failureOf(f *record.Failure) *fault.Error {
	fe := fault.New(fault.Code(f.GetCode()), "%s", f.GetMessage())
	fe.Status, fe.Body, fe.ContentType = int(f.GetStatus()), f.GetBody(), f.GetContentType()
	return fe
}

// stateName gives the word for a state: pending, succeeded, failed or cancelled.
func stateName(state record.InvocationState) string {
	return strings.ToLower(strings.TrimPrefix(state.String(), "INVOCATION_STATE_"))
}

func appendInvocation(dst []byte, inv *record.Invocation) []byte {
	dst = append(dst, `{"id":`...)
	dst = oprc.AppendString(dst, inv.GetId())
	dst = append(dst, `,"object":`...)
	if inv.GetObject() == "" {
		dst = append(dst, "null"...)
	} else {
		dst = oprc.AppendString(dst, inv.GetObject())
	}
	dst = append(dst, `,"method":`...)
	dst = oprc.AppendString(dst, inv.GetMethod())
	dst = append(dst, `,"status":"`...)
	dst = append(dst, stateName(inv.GetState())...)
	dst = append(dst, `","created":`...)
	dst = appendTime(dst, inv.GetCreated())
	dst = append(dst, `,"finished":`...)
	dst = appendTime(dst, inv.GetFinished())
	outcome := inv.GetOutcome()
	dst = append(dst, `,"result":`...)
	if inv.GetState() == record.InvocationState_INVOCATION_STATE_SUCCEEDED {
		dst = append(dst, `{"payload":`...)
		dst = oprc.AppendBytes(dst, outcome.GetPayload())
		dst = append(dst, `,"content_type":`...)
		dst = oprc.AppendString(dst, outcome.GetContentType())
		dst = append(dst, '}')
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"error":`...)
	if failure := outcome.GetFailure(); failure != nil {
		fe := failureOf(failure)
		dst = append(dst, `{"code":`...)
		dst = oprc.AppendString(dst, string(fe.Code))
		dst = append(dst, `,"message":`...)
		dst = oprc.AppendString(dst, fe.Message)
		dst = append(dst, `,"status":`...)
		dst = strconv.AppendInt(dst, int64(fe.HTTPStatus()), 10)
		dst = append(dst, '}')
	} else {
		dst = append(dst, "null"...)
	}
	return append(dst, '}')
}

// appendTime appends Unix nanoseconds as a quoted RFC 3339 time; 0 is null.
func appendTime(dst []byte, nanoseconds int64) []byte {
	if nanoseconds == 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = time.Unix(0, nanoseconds).UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}
