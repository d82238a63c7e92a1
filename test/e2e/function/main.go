// Command function is what the end-to-end tests run as a function process: methods that count, that call themselves and others, that are
// slow, and that leave a process of their own behind.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"

	"github.com/hpcclab/oaas-go/runtime/oaas"
)

func main() {
	if os.Getenv("FUNCTION_LEAVES_CHILD") != "" {
		if err := leaveChild(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	pkg := os.Getenv("FUNCTION_PACKAGE")
	oaas.Serve(
		oaas.Class(pkg+".counter",
			oaas.Method("add", (*Counter).Add), oaas.Method("see", (*Counter).See), oaas.Method("note", (*Counter).Note),
			oaas.Method("slow", (*Counter).Slow), oaas.ReadOnly("peek", (*Counter).Peek)),
		oaas.Class(pkg+".seen", oaas.Method("see", (*Counter).See)),
		oaas.Class(pkg+".log", oaas.Method("note", (*Counter).Note)),
		oaas.Class(pkg+".knot",
			oaas.Method("set", (*Knot).Set), oaas.Method("again", (*Knot).Again), oaas.Method("down", (*Knot).Down),
			oaas.Method("meet", (*Knot).Meet), oaas.Method("late", (*Knot).Late), oaas.Method("show", (*Knot).Show)),
	)
}

// leaveChild starts a process that no signal to this one's group reaches.
func leaveChild() error {
	child := exec.Command("sleep", "300")
	detach(child)
	return child.Start()
}

// Counter counts calls and events.
type Counter struct {
	N      int `oaas:"n"`
	Events int `oaas:"events"`
}

// Add counts and tells of it.
func (c *Counter) Add(ctx oaas.Context, _ oaas.None) (int, error) {
	c.N++
	ctx.Emit(oaas.Event{Type: "e2e.added", Subject: ctx.Self().Object, Data: c.N})
	return c.N, nil
}

// See counts a change that a trigger tells of.
func (c *Counter) See(oaas.Context, oaas.Change) (oaas.None, error) {
	c.N++
	return oaas.None{}, nil
}

// Note counts a CloudEvent.
func (c *Counter) Note(oaas.Context, oaas.Payload) (oaas.None, error) {
	c.Events++
	return oaas.None{}, nil
}

// Peek gives the count.
func (c *Counter) Peek(oaas.Context, oaas.None) (int, error) { return c.N, nil }

// Gate is a URL whose answer a method waits for before it goes on.
type Gate struct {
	Gate string `json:"gate"`
}

// Slow counts after the gate has opened.
func (c *Counter) Slow(_ oaas.Context, in Gate) (int, error) {
	c.N++
	return c.N, wait(in.Gate)
}

func wait(gate string) error {
	response, err := http.Post(gate, "text/plain", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// Knot is an object whose methods call methods of objects.
type Knot struct {
	A      string `oaas:"a"`
	B      string `oaas:"b"`
	Levels int    `oaas:"levels"`
}

// Set writes entry a.
func (k *Knot) Set(_ oaas.Context, in string) (string, error) {
	k.A = in
	return k.A, nil
}

// Again has its own object's set run, and then writes the entry that it is told to.
func (k *Knot) Again(ctx oaas.Context, in struct{ Entry string }) (*Knot, error) {
	if err := ctx.Call(ctx.Self(), "set", "inner", nil); err != nil {
		return nil, err
	}
	var inside Knot
	if err := ctx.Call(ctx.Self(), "show", nil, &inside); err != nil {
		return nil, err
	}
	if in.Entry == "a" {
		k.A = "outer"
	} else {
		k.B = "saw " + inside.A
	}
	return &inside, nil
}

// Show gives the state.
func (k *Knot) Show(oaas.Context, oaas.None) (*Knot, error) { return k, nil }

// Down calls itself on a row of objects until it has gone so many levels, or is refused; each level commits the level below.
func (k *Knot) Down(ctx oaas.Context, in struct {
	Objects []string
	Levels  int
}) (int, error) {
	if in.Levels == 0 {
		return 0, nil
	}
	next := in.Objects[in.Levels%len(in.Objects)]
	in.Levels--
	var below int
	if err := ctx.Call(oaas.Object(ctx.Self().Class, next), "down", in, &below); err != nil {
		return 0, err
	}
	return below + 1, nil
}

// Meet waits until the others have come, and then calls set of another object.
func (k *Knot) Meet(ctx oaas.Context, in struct{ Gate, Other string }) (oaas.None, error) {
	if err := wait(in.Gate); err != nil {
		return oaas.None{}, err
	}
	k.B = "met"
	return oaas.None{}, ctx.Call(oaas.Object(ctx.Self().Class, in.Other), "set", "from "+ctx.Self().Object, nil)
}

// Late waits at the gate longer than its time. Then it calls set of its own object with its chain, which is over by then, and reports the
// status of the answer. Its own answer comes too late as well.
func (k *Knot) Late(ctx oaas.Context, in struct{ Gate, Report string }) (oaas.None, error) {
	k.B = "late"
	if err := wait(in.Gate); err != nil {
		return oaas.None{}, err
	}
	ctx.Context = context.WithoutCancel(ctx.Context)
	err := ctx.Call(ctx.Self(), "set", "late", nil)
	return oaas.None{}, wait(in.Report + "?status=" + strconv.Itoa(oaas.StatusOf(err)))
}
