package runner

import "time"

// EventKind names what happened.
type EventKind string

// The kinds of events.
const (
	EventStarted      EventKind = "started"        // a process was started: PID
	EventReady        EventKind = "ready"          // it accepts connections: PID, Took, Cold
	EventScaled       EventKind = "scaled"         // the number of wanted instances changed: From, To
	EventScaledToZero EventKind = "scaled to zero" // it changed to none: From
	EventCrashed      EventKind = "crashed"        // a process ended by itself, or did not start: PID, Failure
	EventStopped      EventKind = "stopped"        // a process ended because it was told to: PID
	EventDrained      EventKind = "drained"        // a revision that was replaced or removed has no process left
	EventLog          EventKind = "log"            // a line of output: Line
)

// Event is something that happened to a function. Which fields are set stands with the kinds.
type Event struct {
	Kind     EventKind
	Time     time.Time
	Function string
	Revision string
	PID      int
	// Took is the time from the start of the process until it was ready; for a cold start, from the request that woke the function.
	Took time.Duration
	// Cold tells that a request waited for this instance because the function was scaled to zero.
	Cold     bool
	From, To int
	Failure  *Failure
	Line     LogLine
}

// Failure is why an instance could not start or ended by itself.
type Failure struct {
	Time     time.Time
	Revision string
	// Reason is one phrase: "exit status 3", "signal: killed", "did not listen on PORT 20123 within 60s".
	Reason string
	// Lines are the last lines that the process wrote.
	Lines []string

	// atStart tells that the instance never became ready, so that the next one will hardly do better.
	atStart bool
}
