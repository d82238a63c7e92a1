package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Class is a deployed class.
type Class struct {
	Name          string   `json:"name"`
	Package       string   `json:"package"`
	Partitions    int      `json:"partitions"`
	Engine        string   `json:"engine"`
	Methods       []Method `json:"methods"`
	Triggers      int      `json:"triggers"`
	Subscriptions []struct {
		Type   string `json:"type"`
		Source string `json:"source,omitempty"`
		Method string `json:"method"`
	} `json:"subscriptions"`
}

// Method is a method of a class.
type Method struct {
	Name      string `json:"name"`
	Function  string `json:"function"`
	Stateless bool   `json:"stateless"`
	ReadOnly  bool   `json:"readonly"`
}

// Classes lists the deployed classes.
func (c *Client) Classes(ctx context.Context) ([]Class, error) {
	var answer struct {
		Classes []Class `json:"classes"`
	}
	err := c.fetch(ctx, request{method: http.MethodGet, path: path("api", "class")}, &answer)
	return answer.Classes, err
}

// Target is where an event goes: a method, or a sink.
type Target struct {
	Class     string            `json:"class,omitempty"`
	Partition *uint32           `json:"partition,omitempty"`
	Object    string            `json:"object,omitempty"`
	Method    string            `json:"method,omitempty"`
	Options   map[string]string `json:"options,omitempty"`
	Sink      string            `json:"sink,omitempty"`
}

// String gives the target for people.
func (t Target) String() string {
	if t.Sink != "" {
		return t.Sink
	}
	object := t.Object
	if object == "" {
		object = "(same object)"
	}
	return t.Class + "/" + object + "/" + t.Method
}

// Trigger is a trigger that a class declares.
type Trigger struct {
	Name      string `json:"name"`
	On        string `json:"on"`
	Entry     string `json:"entry,omitempty"`
	Method    string `json:"method,omitempty"`
	Condition string `json:"condition,omitempty"`
	Target    Target `json:"target"`
}

// Triggers lists the triggers that a class declares.
func (c *Client) Triggers(ctx context.Context, class string) ([]Trigger, error) {
	var answer struct {
		Triggers []Trigger `json:"triggers"`
	}
	err := c.fetch(ctx, request{method: http.MethodGet, path: path("api", "class", class, "triggers")}, &answer)
	return answer.Triggers, err
}

// DeadLetter is an event that was given up. Seq numbers it in its partition.
type DeadLetter struct {
	Seq         uint64    `json:"seq"`
	ID          string    `json:"id"`
	Type        string    `json:"type"`
	Partition   uint32    `json:"partition"`
	Object      string    `json:"object"`
	Key         string    `json:"key,omitempty"`
	Method      string    `json:"method,omitempty"`
	Data        []byte    `json:"data"`
	ContentType string    `json:"content_type,omitempty"`
	Time        time.Time `json:"time"`
	Died        time.Time `json:"dead_time"`
	Attempts    uint32    `json:"attempts"`
	Reason      string    `json:"reason"`
	Target      Target    `json:"target"`
}

// DeadLetters lists events that were given up, those of the partition with a number above after, or of all partitions.
func (c *Client) DeadLetters(ctx context.Context, class, partition string, after uint64, limit int) ([]DeadLetter, error) {
	q := url.Values{}
	if after > 0 {
		q.Set("after", strconv.FormatUint(after, 10))
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var answer struct {
		Letters []DeadLetter `json:"dead_letters"`
	}
	at := Ref{Class: class, Partition: partition}
	err := c.fetch(ctx, request{method: http.MethodGet, path: path("api", "class", class, at.partition(), "dead-letters"), query: q}, &answer)
	return answer.Letters, err
}

// MoveDeadLetters sends dead letters again, or drops them: those of the given numbers in one partition, or all if there are no numbers. It gives how
// many there were.
func (c *Client) MoveDeadLetters(ctx context.Context, class, partition string, seqs []uint64, drop bool) (int, error) {
	verb := "replay"
	if drop {
		verb = "drop"
	}
	at := Ref{Class: class, Partition: partition}
	body := struct {
		Seqs []uint64 `json:"seqs,omitempty"`
		All  bool     `json:"all,omitempty"`
	}{seqs, len(seqs) == 0}
	r, err := request{method: http.MethodPost, path: path("api", "class", class, at.partition(), "dead-letters", verb)}.jsonBody(body)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Count int `json:"count"`
	}
	err = c.fetch(ctx, r, &answer)
	return answer.Count, err
}
