package gateway

import (
	"maps"
	"net/http"
	"slices"

	"github.com/hpcclab/oaas-go/internal/openapi"
)

// The types below are the documents that this package encodes by hand, for their schemas.
type (
	objectJSON struct {
		Metadata *metadataJSON        `json:"metadata"`
		Event    *eventJSON           `json:"event"`
		Entries  map[string]valueJSON `json:"entries"`
	}
	metadataJSON struct {
		ClsID       string  `json:"cls_id"`
		PartitionID uint32  `json:"partition_id"`
		ObjectID    *string `json:"object_id"`
	}
	valueJSON struct {
		Data []byte `json:"data"`
		Type int    `json:"type"`
	}
	eventJSON struct {
		FuncTrigger map[string]functionTriggersJSON `json:"func_trigger"`
		DataTrigger map[string]entryTriggersJSON    `json:"data_trigger"`
	}
	functionTriggersJSON struct {
		OnComplete []targetJSON `json:"on_complete"`
		OnError    []targetJSON `json:"on_error"`
	}
	entryTriggersJSON struct {
		OnCreate []targetJSON `json:"on_create"`
		OnUpdate []targetJSON `json:"on_update"`
		OnDelete []targetJSON `json:"on_delete"`
	}
	targetJSON struct {
		ClsID       string            `json:"cls_id"`
		PartitionID uint32            `json:"partition_id"`
		ObjectID    *string           `json:"object_id"`
		FnID        string            `json:"fn_id"`
		ReqOptions  map[string]string `json:"req_options"`
	}
	objectRowJSON struct {
		ObjectID   string `json:"object_id"`
		Version    uint64 `json:"version"`
		EntryCount uint64 `json:"entry_count"`
	}
	objectListJSON struct {
		Objects    []objectRowJSON `json:"objects"`
		NextCursor string          `json:"next_cursor,omitempty"`
	}
	entryJSON struct {
		Key           string `json:"key"`
		Data          []byte `json:"data"`
		Type          int    `json:"type"`
		Version       uint64 `json:"version"`
		ObjectVersion uint64 `json:"object_version,omitempty"`
	}
	entryListJSON struct {
		Entries    []entryJSON `json:"entries"`
		Version    uint64      `json:"version"`
		NextCursor string      `json:"next_cursor,omitempty"`
	}
	submittedJSON struct {
		InvocationID string `json:"invocation_id"`
		Status       string `json:"status"`
		Location     string `json:"location"`
	}
	invocationJSON struct {
		ID       string      `json:"id"`
		Object   *string     `json:"object"`
		Method   string      `json:"method"`
		Status   string      `json:"status"`
		Created  *string     `json:"created"`
		Finished *string     `json:"finished"`
		Result   *resultJSON `json:"result"`
		Error    *outcomeErr `json:"error"`
	}
	resultJSON struct {
		Payload     []byte `json:"payload"`
		ContentType string `json:"content_type"`
	}
	outcomeErr struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Status  int    `json:"status"`
	}
	errorJSON struct {
		Error faultJSON `json:"error"`
	}
	faultJSON struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	problemJSON struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
	}
	classListJSON struct {
		Classes []classDocument `json:"classes"`
	}
	triggerListJSON struct {
		Triggers []triggerDocument `json:"triggers"`
	}
	letterListJSON struct {
		DeadLetters []letterDocument `json:"dead_letters"`
	}
	versionJSON struct {
		Version uint64 `json:"version"`
	}
	countJSON struct {
		Count int `json:"count"`
	}
)

// Statuses of failures that several routes share.
var (
	readFails   = []int{400, 404, 429, 503, 504}
	changeFails = []int{400, 403, 404, 409, 412, 413, 415, 429, 503, 504, 508}
)

// Operations describes the gateway's own routes.
func Operations(s *openapi.Schemas) []openapi.Operation {
	d := documenter{s: s, failure: openapi.Content{typeJSON: openapi.Of[errorJSON](s), typeProblem: openapi.Of[problemJSON](s)}}
	return slices.Concat(d.objects(), d.entries(), d.calls(), d.others(), d.streams(), d.free())
}

// documenter makes the operations of a gateway.
type documenter struct {
	s       *openapi.Schemas
	failure openapi.Content
}

// answers gives those of success and the statuses of failures.
func (d documenter) answers(fails []int, success ...openapi.Answer) []openapi.Answer {
	return append(success, openapi.Fails(d.failure, fails...)...)
}

var (
	text       = openapi.Schema{"type": "string"}
	noBody     = openapi.Content(nil)
	anyContent = openapi.Content{"*/*": nil}
	count      = openapi.Schema{"type": "integer", "minimum": 0}
	duration   = openapi.Schema{"type": "string", "pattern": "^[1-9][0-9]{0,2}(ms|s)$"}
	yesNo      = openapi.Schema{"type": "boolean"}

	partitionPart = openapi.PathPart("pid", "Number of the partition, or _ for the one that the object's id gives.",
		openapi.Schema{"type": "string", "pattern": "^(_|[0-9]{1,5})$"})
	objectPart = openapi.PathPart("oid", "Id of the object; upper case becomes lower case.",
		openapi.Schema{"type": "string", "minLength": 1, "maxLength": 160, "pattern": "^[A-Za-z0-9._:-]+$"})
	pageParams = []openapi.Param{
		openapi.Query("prefix", "What ids or keys begin with.", text),
		openapi.Query("limit", "At most so many rows, 1000 at the most; 0 is the default of 100.", count),
		openapi.Query("cursor", "next_cursor of the page before.", text),
	}
	ifMatch     = openapi.Header("If-Match", "Version that the object must have, in quotes, or *.", text)
	ifNoneMatch = openapi.Header("If-None-Match", "* for an object that must not be there; for reading, versions that need not be sent.", text)
)

func (d documenter) objects() []openapi.Operation {
	params := []openapi.Param{partitionPart, objectPart}
	document := openapi.Content{typeJSON: openapi.Of[objectJSON](d.s), typeProtobuf: nil}
	body := &openapi.Body{Content: openapi.Content{typeJSON: objectBody, typeProtobuf: nil, typeOctets: nil}}
	guarded := append(slices.Clone(params), ifMatch, ifNoneMatch)
	return []openapi.Operation{
		{
			Method: http.MethodGet, Path: pathObjects, Tag: "objects", Summary: "List the objects of a partition", Params: append(slices.Clone(pageParams), partitionPart),
			Answers: d.answers(readFails, openapi.Answers(200, openapi.JSON(openapi.Of[objectListJSON](d.s)))),
		},
		{
			Method: http.MethodGet, Path: pathObject, Tag: "objects", Summary: "Read an object, as JSON or protobuf", Params: append(slices.Clone(params), ifNoneMatch),
			Answers: d.answers(readFails, openapi.Answers(200, document), openapi.Answers(304, noBody)),
		},
		{
			Method: http.MethodPut, Path: pathObject, Tag: "objects", Summary: "Write entries of an object; others stay", Params: guarded, Body: body,
			Answers: d.answers(changeFails, openapi.Answers(200, noBody)),
		},
		{
			Method: http.MethodPatch, Path: pathObject, Tag: "objects", Summary: "Set and delete entries of an object in one step", Params: guarded,
			Body:    &openapi.Body{Content: openapi.JSON(patchBody)},
			Answers: d.answers(changeFails, openapi.Answers(200, openapi.JSON(openapi.Of[versionJSON](d.s)))),
		},
		{
			Method: http.MethodDelete, Path: pathObject, Tag: "objects", Summary: "Delete an object; the header Oaas-Existed tells whether it was there", Params: guarded,
			Answers: d.answers(changeFails, openapi.Answers(204, noBody)),
		},
		{
			Method: http.MethodPost, Path: pathObject + "/merge", Tag: "objects", Summary: "Merge entries into an object", Params: guarded, Body: body,
			Answers: d.answers(changeFails, openapi.Answers(200, document)),
		},
	}
}

var (
	// valuesBody are entries as they are written.
	valuesBody = openapi.Schema{"type": "object", "additionalProperties": openapi.Schema{
		"type": "object", "required": []string{"data", "type"},
		"properties": map[string]any{
			"data": openapi.Schema{"type": "string", "contentEncoding": "base64", "pattern": "^([A-Za-z0-9+/]{4})*$"},
			"type": openapi.Schema{"type": "integer", "enum": []int{0, 1}},
		},
	}}
	// objectBody is an object as it is written; what is missing is empty.
	objectBody = openapi.Schema{"type": "object", "required": []string{"entries"}, "properties": map[string]any{"entries": valuesBody}}
	patchBody  = openapi.Schema{"type": "object", "properties": map[string]any{
		"set": valuesBody, "delete": openapi.Schema{"type": "array", "items": text}, "expected_version": count,
	}}
)

func (d documenter) entries() []openapi.Operation {
	params := []openapi.Param{partitionPart, objectPart, openapi.PathPart("key", "Key of the entry; upper case becomes lower case.", objectPart.Schema)}
	guarded := append(slices.Clone(params), ifMatch, ifNoneMatch)
	entry := openapi.Content{typeOctets: nil, typeJSON: openapi.Of[entryJSON](d.s), typeProtobuf: nil}
	return []openapi.Operation{
		{
			Method: http.MethodGet, Path: pathObject + "/entries", Tag: "entries", Summary: "List the entries of an object",
			Params:  append(slices.Clone(pageParams), partitionPart, objectPart),
			Answers: d.answers(readFails, openapi.Answers(200, openapi.JSON(openapi.Of[entryListJSON](d.s)))),
		},
		{
			Method: http.MethodGet, Path: pathEntry, Tag: "entries", Summary: "Read an entry: its bytes, or JSON or protobuf about it",
			Params:  append(slices.Clone(params), ifNoneMatch),
			Answers: d.answers(readFails, openapi.Answers(200, entry), openapi.Answers(304, noBody)),
		},
		{
			Method: http.MethodPut, Path: pathEntry, Tag: "entries", Summary: "Write an entry",
			Params:  append(guarded, openapi.Query("type", "Type of the value: 0 is bytes, 1 a CRDT map.", openapi.Schema{"type": "integer", "enum": []int{0, 1}})),
			Body:    &openapi.Body{Optional: true, Content: openapi.Content{typeOctets: nil}},
			Answers: d.answers(changeFails, openapi.Answers(200, noBody)),
		},
		{
			Method: http.MethodDelete, Path: pathEntry, Tag: "entries", Summary: "Delete an entry; the header Oaas-Existed tells whether it was there",
			Params: guarded, Answers: d.answers(changeFails, openapi.Answers(204, noBody)),
		},
	}
}

func (d documenter) calls() []openapi.Operation {
	params := []openapi.Param{
		openapi.Header("Prefer", "respond-async answers 202 before the call has run.", text),
		openapi.Header("Idempotency-Key", "A call with a key that was used before gets the stored result.", text),
		openapi.Header("Oaas-Timeout", "Time for the call, such as 5s.", duration),
	}
	method := append(slices.Clone(params), partitionPart, objectPart)
	body := &openapi.Body{Optional: true, Content: anyContent}
	called := []openapi.Answer{
		openapi.Answers(200, anyContent), openapi.Answers(202, openapi.JSON(openapi.Of[submittedJSON](d.s))),
		{Doc: "What went wrong, or what the function answered with a status of its own", Content: anyContent},
	}
	result := append(params[2:], partitionPart)
	invocation := openapi.JSON(openapi.Of[invocationJSON](d.s))
	outcome := openapi.Content{typeJSON: openapi.Schema{"anyOf": []any{openapi.Of[invocationJSON](d.s), openapi.Schema{}}}, "*/*": nil}
	return []openapi.Operation{
		{
			Method: http.MethodPost, Path: pathShard + "/invokes/:func", Tag: "calls", Summary: "Call a stateless function of a class; the partition means nothing",
			Params: params, Body: body, Answers: called,
		},
		{
			Method: http.MethodPost, Path: pathObject + "/invokes/:func", Tag: "calls", Summary: "Call a method of an object",
			Params: method, Body: body, Answers: called,
		},
		{
			Method: http.MethodGet, Path: pathResult, Tag: "calls", Summary: "Get the result of an asynchronous call",
			Params: append(slices.Clone(result), openapi.Query("wait", "Wait so long for the result, such as 30s.", duration),
				openapi.Query("raw", "Answer as the call itself would.", yesNo)),
			Answers: d.answers(readFails, openapi.Answers(200, outcome), openapi.Answers(202, invocation),
				openapi.Answer{Doc: "With raw: the failure of the call", Content: anyContent}),
		},
		{
			Method: http.MethodDelete, Path: pathResult, Tag: "calls", Summary: "Cancel an asynchronous call", Params: slices.Clone(result),
			Answers: d.answers([]int{400, 404, 409, 429, 503, 504}, openapi.Answers(200, invocation)),
		},
	}
}

func (d documenter) others() []openapi.Operation {
	which := openapi.Schema{"type": "object", "properties": map[string]any{
		"seqs": openapi.Schema{"type": "array", "items": count}, "all": yesNo,
	}}
	moved := d.answers([]int{400, 404, 409, 413, 415, 429, 503, 504}, openapi.Answers(200, openapi.JSON(openapi.Of[countJSON](d.s))))
	event := &openapi.Body{Content: openapi.Content{
		"application/cloudevents+json": nil, "application/cloudevents-batch+json": nil, typeJSON: nil, typeOctets: nil,
	}}
	taken := append([]openapi.Answer{openapi.Answers(202, noBody)}, openapi.Answer{Doc: "Why the event was not taken", Content: anyContent})
	list := []openapi.Operation{
		{
			Method: http.MethodGet, Path: "/api/class", Tag: "classes", Summary: "List the classes that are served",
			Answers: d.answers([]int{400, 429, 503}, openapi.Answers(200, openapi.JSON(openapi.Of[classListJSON](d.s)))),
		},
		{
			Method: http.MethodGet, Path: pathClass + "/triggers", Tag: "classes", Summary: "List the triggers that a class declares",
			Answers: d.answers([]int{400, 404, 429, 503}, openapi.Answers(200, openapi.JSON(openapi.Of[triggerListJSON](d.s)))),
		},
		{
			Method: http.MethodGet, Path: pathLetters, Tag: "dead letters", Summary: "List the events that were given up",
			Params: []openapi.Param{
				partitionPart, openapi.Query("after", "Number of the last one that is known.", count), openapi.Query("limit", "At most so many.", count),
			},
			Answers: d.answers(readFails, openapi.Answers(200, openapi.JSON(openapi.Of[letterListJSON](d.s)))),
		},
		{Method: http.MethodPost, Path: "/events", Tag: "events", Summary: "Take CloudEvents, binary, structured or as a batch", Body: event, Answers: taken},
		{Method: http.MethodPost, Path: "/", Tag: "events", Summary: "The same as /events", Body: event, Answers: taken},
	}
	for _, what := range []string{"replay", "drop"} {
		list = append(list, openapi.Operation{
			Method: http.MethodPost, Path: pathLetters + "/" + what, Tag: "dead letters", Summary: "Send dead letters again, or drop them: " + what,
			Params: []openapi.Param{partitionPart}, Body: &openapi.Body{Content: openapi.JSON(which)}, Answers: moved,
		})
	}
	return list
}

// streams are the routes on which clients watch changes.
func (d documenter) streams() []openapi.Operation {
	params := []openapi.Param{
		openapi.Query("entry", "Keys of entries, or prefixes ending in *; the parameter can be there several times, as the next two.", text),
		openapi.Query("action", "What happened to the entry.", text), openapi.Query("method", "Methods that ended.", text),
		openapi.Query("form", "What a message has: plain is that of OaaS-RS.", openapi.Schema{"type": "string", "enum": []string{"plain", "extended"}}),
		openapi.Query("from", "Where to begin: a position, earliest, or now.", text),
		openapi.Query("after", "Begin after the change of that number in the partition.", count),
	}
	parts := map[string][]openapi.Param{pathClass: nil, pathShard: {partitionPart}, pathObject: {partitionPart, objectPart}}
	off := maps.Clone(d.failure) // also of WebSocket routes that are off
	off["text/plain"] = nil
	var list []openapi.Operation
	for _, r := range streamRoutes {
		list = append(list, openapi.Operation{
			Method: http.MethodGet, Path: r.path + "/events", Tag: "streams", Summary: "Watch changes as server-sent events",
			Params:  slices.Concat(params, parts[r.path], []openapi.Param{openapi.Header("Last-Event-ID", "The id of the last event that was seen.", text)}),
			Answers: d.answers([]int{400, 404, 406, 409, 429, 503, 504}, openapi.Answers(http.StatusOK, openapi.Content{typeEvents: nil})),
		}, openapi.Operation{
			Method: http.MethodGet, Path: r.path + "/ws", Tag: "streams", Summary: "Watch changes over WebSocket, if it is on",
			Params:  slices.Concat(params, parts[r.path]),
			Answers: d.answers([]int{400, 403, 409, 426, 429, 503, 504}, openapi.Answers(http.StatusSwitchingProtocols, noBody), openapi.Answers(404, off)),
		})
	}
	return list
}

func (d documenter) free() []openapi.Operation {
	var list []openapi.Operation
	for path, summary := range map[string]string{
		"/health": "Whether the process answers", "/healthz": "Whether the process answers", "/readyz": "Whether the platform serves",
	} {
		list = append(list, openapi.Operation{
			Method: http.MethodGet, Path: path, Tag: "health", Summary: summary,
			Answers: d.answers([]int{400, 503}, openapi.Answers(200, openapi.Content{typeOctets: nil})),
		})
	}
	return append(list, openapi.Operation{
		Method: http.MethodGet, Path: "/metrics", Tag: "health", Summary: "Metrics of Prometheus",
		Answers: []openapi.Answer{openapi.Answers(200, openapi.Content{"text/plain": nil}), openapi.Answers(503, openapi.Content{"text/plain": nil})},
	})
}
