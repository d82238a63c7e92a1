// Package control holds the messages of the control API that `oaas dev` serves beside the gateway, for its command line and its screen.
//
// Guarantee: plain data with stable JSON names; fields are only ever added. Streams are application/x-ndjson: one message a line.
package control

import "time"

// Paths of the control API.
const (
	ProjectsPath  = "/api/v1/projects"
	FunctionsPath = "/api/v1/local/functions"
	ActivityPath  = "/api/v1/activity"
	StatusPath    = "/api/v1/status"
)

// ContentType is that of streams.
const ContentType = "application/x-ndjson"

// DeployRequest asks for the project in a folder to be deployed, or deployed again.
type DeployRequest struct {
	// Dir is an absolute path on the machine that the platform runs on.
	Dir string `json:"dir"`
}

// The steps of a deployment, in their order.
const (
	StepValidate = "validate"
	StepBuild    = "build"
	StepStart    = "start"
	StepDeploy   = "deploy"
	StepReady    = "ready"
)

// Progress is one line of the answer to a DeployRequest. The last line has Done or Error.
type Progress struct {
	Step     string `json:"step,omitempty"`
	Function string `json:"function,omitempty"`
	Message  string `json:"message,omitempty"`
	Millis   int64  `json:"ms,omitempty"`

	Done      bool     `json:"done,omitempty"`
	Package   string   `json:"package,omitempty"`
	Classes   []string `json:"classes,omitempty"`
	Functions []string `json:"functions,omitempty"`

	Error *Error `json:"error,omitempty"`
}

// Error is why a request was refused, with the code of the gateway's errors.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error gives the message.
func (e *Error) Error() string { return e.Message }

// Project is a deployed project.
type Project struct {
	Package   string     `json:"package"`
	Version   string     `json:"version,omitempty"`
	Dir       string     `json:"dir"`
	Deployed  time.Time  `json:"deployed"`
	Classes   []Class    `json:"classes"`
	Functions []Function `json:"functions"`
	// Error says why the newest source is not what is being served.
	Error string `json:"error,omitempty"`
}

// Class is a class of a project as it is being served.
type Class struct {
	Name          string         `json:"name"`
	Engine        string         `json:"engine"`
	Partitions    int            `json:"partitions"`
	Methods       []Method       `json:"methods"`
	Triggers      []Trigger      `json:"triggers"`
	Subscriptions []Subscription `json:"subscriptions"`
}

// Method is a method of a class.
type Method struct {
	Name      string `json:"name"`
	Function  string `json:"function"`
	Stateless bool   `json:"stateless"`
	Readonly  bool   `json:"readonly"`
}

// Trigger is a trigger of a class, in words.
type Trigger struct {
	Name      string `json:"name"`
	On        string `json:"on"`
	Condition string `json:"condition,omitempty"`
	Target    string `json:"target"`
}

// Subscription says which events call which method.
type Subscription struct {
	Type   string `json:"type"`
	Source string `json:"source,omitempty"`
	Method string `json:"method"`
}

// Function is a function with the state of its instances.
type Function struct {
	Name    string `json:"name"`
	Package string `json:"package"`
	Key     string `json:"key"`
	// Runtime is go, python, node, command, or "url" for a function that somebody else runs.
	Runtime string `json:"runtime"`
	Source  string `json:"source,omitempty"`
	URL     string `json:"url,omitempty"`
	// State is idle (no instance), starting, ready, failing, stopping, or external.
	State    string `json:"state"`
	Revision string `json:"revision,omitempty"`
	Build    string `json:"build,omitempty"`
	// Instances are those that serve, Starting those that do not yet.
	Instances  int `json:"instances"`
	Starting   int `json:"starting"`
	Queued     int `json:"queued"`
	InFlight   int `json:"in_flight"`
	ColdStarts int `json:"cold_starts"`
	Crashes    int `json:"crashes"`
	// Failure is the last reason why an instance ended by itself, with its last lines of output.
	Failure string `json:"failure,omitempty"`
	// Methods are those that the function does.
	Methods []Binding `json:"methods"`
}

// Binding is a method that a function does.
type Binding struct {
	Class     string `json:"class"`
	Method    string `json:"method"`
	Stateless bool   `json:"stateless"`
	Readonly  bool   `json:"readonly"`
}

// LogLine is one line that a function wrote.
type LogLine struct {
	Time     time.Time `json:"time"`
	Function string    `json:"function"`
	Revision string    `json:"revision,omitempty"`
	PID      int       `json:"pid,omitempty"`
	Stream   string    `json:"stream"`
	Text     string    `json:"text"`
	// Missed is the number of lines before this one that a slow reader did not get.
	Missed int `json:"missed,omitempty"`
}

// The kinds of activity.
const (
	KindCall     = "call"     // a method or function was called from outside, or by a function
	KindTrigger  = "trigger"  // a trigger or event called a method
	KindFunction = "function" // instances started, ended, crashed
	KindScale    = "scale"    // the wanted number of instances changed
	KindReload   = "reload"   // a project was deployed, reloaded or deleted
	KindError    = "error"    // something needs somebody to look at it
	KindLog      = "log"      // a function wrote a line
)

// Activity is something that happened on the platform.
type Activity struct {
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
	Kind string    `json:"kind"`

	Class    string `json:"class,omitempty"`
	Object   string `json:"object,omitempty"`
	Method   string `json:"method,omitempty"`
	Function string `json:"function,omitempty"`
	Package  string `json:"package,omitempty"`

	// Status is the HTTP status of a call.
	Status  int     `json:"status,omitempty"`
	Millis  float64 `json:"ms,omitempty"`
	Message string  `json:"message,omitempty"`
	// Hint says what to do about an error.
	Hint string `json:"hint,omitempty"`
	// Missed is the number of activities before this one that a slow reader did not get.
	Missed uint64 `json:"missed,omitempty"`
}

// Status says what runs where.
type Status struct {
	Address string `json:"address"`
	// Zenoh is the endpoint of the Zenoh router, and ZenohNote says why it is not the usual one.
	Zenoh     string    `json:"zenoh"`
	ZenohNote string    `json:"zenoh_note,omitempty"`
	DataDir   string    `json:"data_dir"`
	PID       int       `json:"pid"`
	Version   string    `json:"version"`
	Started   time.Time `json:"started"`
	Ready     bool      `json:"ready"`
}
