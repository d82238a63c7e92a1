package dev

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/runtime/runner"
)

// observed is the grid as the gateway sees it: each call through it is told.
type observed struct {
	*odgm.Grid
	activity *activity
}

// Invoke calls a method and tells how it went.
func (o observed) Invoke(ctx context.Context, c call.Call, t odgm.Target) (call.Answer, error) {
	begun := time.Now()
	answer, err := o.Grid.Invoke(ctx, c, t)
	o.tell(c, t, statusOf(answer.Status, http.StatusOK, err), begun, callMessage(c, answer.Replayed, err))
	return answer, err
}

// InvokeAsync takes a call and tells that it was taken.
func (o observed) InvokeAsync(ctx context.Context, c call.Call, t odgm.Target) (*record.Invocation, error) {
	begun := time.Now()
	inv, err := o.Grid.InvokeAsync(ctx, c, t)
	message := callMessage(c, false, err)
	if err == nil {
		message = "asynchronous call " + inv.GetId()
	}
	o.tell(c, t, statusOf(0, http.StatusAccepted, err), begun, message)
	return inv, err
}

func (o observed) tell(c call.Call, t odgm.Target, status int, begun time.Time, message string) {
	o.activity.add(control.Activity{
		Kind: control.KindCall, Class: t.Class, Object: t.ID, Method: c.Method, Status: status, Millis: millis(time.Since(begun)), Message: message,
	})
}

// statusOf gives the HTTP status that a call is answered with.
func statusOf(answered, otherwise int, err error) int {
	switch {
	case err != nil:
		return fault.From(err).HTTPStatus()
	case answered != 0:
		return answered
	}
	return otherwise
}

func callMessage(c call.Call, replayed bool, err error) string {
	switch {
	case err != nil:
		return firstLine(err.Error())
	case replayed:
		return "stored result of an earlier call"
	case len(c.Chain) > 0:
		hop := c.Chain[len(c.Chain)-1]
		return "called by " + hop.Ref.Class + "/" + hop.Ref.ID + "/" + hop.Method
	}
	return ""
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// millis gives a duration in milliseconds with two digits after the point.
func millis(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond).Microseconds()) / 1000
}

// delivered is told of each attempt to deliver an event.
func (p *platform) delivered(d odgm.Delivery) {
	ev, to := d.Event, d.Event.GetTarget()
	a := control.Activity{
		Kind: control.KindTrigger, Class: to.GetClass(), Object: to.GetObject(), Method: to.GetMethod(), Millis: millis(d.Elapsed),
		Status: statusOf(0, http.StatusOK, d.Err),
	}
	source := fmt.Sprintf("%s of %s/%s", ev.GetType(), ev.GetClass(), ev.GetObject())
	if ev.GetKey() != "" {
		source += " " + ev.GetKey()
	}
	a.Message = source
	if to.GetSink() != "" {
		a.Message += ", to sink " + to.GetSink()
	}
	if d.Err != nil {
		a.Message += ": " + firstLine(d.Err.Error())
	}
	p.activity.add(a)
}

// runnerEvent is told of everything that happens to functions.
func (p *platform) runnerEvent(e runner.Event) {
	a := control.Activity{Time: e.Time, Kind: control.KindFunction, Function: e.Function}
	switch e.Kind {
	case runner.EventLog:
		a.Kind, a.Message = control.KindLog, e.Line.Text
	case runner.EventReady:
		a.Message, a.Millis = fmt.Sprintf("instance ready (process %d)", e.PID), millis(e.Took)
		if e.Cold {
			a.Message = fmt.Sprintf("cold start (process %d)", e.PID)
			p.count(e.Function, func(c *counts) { c.cold++ })
		}
	case runner.EventScaled:
		a.Kind, a.Message = control.KindScale, fmt.Sprintf("%d → %d", e.From, e.To)
	case runner.EventScaledToZero:
		a.Kind, a.Message = control.KindScale, fmt.Sprintf("%d → 0, scaled to zero", e.From)
	case runner.EventCrashed:
		a.Kind, a.Message = control.KindError, "crashed"
		if e.Failure != nil {
			a.Message += ": " + failureText(e.Failure)
		}
		a.Hint = "see more with: oaas func logs " + e.Function
		p.count(e.Function, func(c *counts) { c.crashes++ })
	default:
		return // starts, stops and drains are seen by what follows from them
	}
	p.activity.add(a)
}

func (p *platform) count(function string, change func(*counts)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts[function]
	if c == nil {
		c = &counts{}
		p.counts[function] = c
	}
	change(c)
}

// failureText gives the reason of a crash with the last lines of output.
func failureText(f *runner.Failure) string {
	return strings.Join(append([]string{f.Reason}, f.Lines...), "\n")
}
