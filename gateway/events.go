package gateway

import (
	"net/http"
	"strconv"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/broker/eventing"
)

// takeEvents is the sink for CloudEvents: in binary, structured or batched mode, they go to the methods that subscribe to them. The answer to
// accepted events is empty, as a Knative Broker wants it. When one of a batch fails the whole batch is refused, after all were tried: sent again,
// the others have no second effect.
func takeEvents(x *exchange) error {
	events, err := x.events()
	if err != nil {
		return err
	}
	calls := 0
	var failed, unrouted error
	for _, event := range events {
		done, err := x.g.grid.Dispatch(&x.ctx, event)
		calls += len(done.Calls)
		switch {
		case err == nil:
		case fault.CodeOf(err) == fault.NoSubscription:
			unrouted = err
		case failed == nil:
			failed = err
		}
	}
	switch {
	case failed != nil:
		return failed
	case calls == 0 && unrouted != nil:
		return unrouted
	}
	x.w.Header()["Oaas-Calls"] = []string{strconv.Itoa(calls)}
	x.send(http.StatusAccepted, nil, nil)
	return nil
}

// events reads the request as CloudEvents.
func (x *exchange) events() ([]cloudevents.Event, error) {
	events, err := eventing.Receive(x.r, eventing.Limits{MaxBytes: x.g.cfg.MaxPayloadBytes})
	switch {
	case err == nil:
		x.bodyArrived()
	case fault.CodeOf(err) == fault.TooLarge:
		x.w.Header()["Connection"] = []string{"close"}
	}
	return events, bodyError(err)
}
