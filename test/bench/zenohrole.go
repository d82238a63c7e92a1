package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh"
)

// zenohRole is one role of a measurement in a process of its own: a name and its arguments. test/bench/native has the same roles with the
// native implementation. A role says "ready", runs, says its figures in one line, and ends when its standard input does.
type zenohRole struct {
	name string
	args map[string]string
}

func parseRole(name string, args []string) zenohRole {
	r := zenohRole{name, map[string]string{}}
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		r.args[k] = v
	}
	return r
}

func (r zenohRole) number(name string) int {
	n, _ := strconv.Atoi(r.args[name]) // zero if there is none
	return n
}

func (r zenohRole) length() time.Duration { return time.Duration(r.number("ms")) * time.Millisecond }

func (r zenohRole) open(ctx context.Context) (*zenoh.Session, error) {
	config := zenoh.Config{Mode: zenoh.Client}
	if r.args["mode"] == "peer" {
		config.Mode = zenoh.Peer
		config.Listen.Endpoints = []string{}
	}
	config.Scouting.Multicast.Disabled = true
	if e := r.args["connect"]; e != "" {
		config.Connect.Endpoints = []string{e}
	}
	if e := r.args["listen"]; e != "" {
		config.Listen.Endpoints = []string{e}
	}
	return zenoh.Open(ctx, config)
}

// serve runs the role until standard input ends.
func (r zenohRole) serve() error {
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
		close(over)
	}()
	sessions := make([]*zenoh.Session, max(1, r.number("sessions")))
	for i := range sessions {
		var err error
		if sessions[i], err = r.open(ctx); err != nil {
			return err
		}
	}
	run := map[string]func(context.Context, []*zenoh.Session) error{
		"idle": r.idle, "pub": r.publish, "sub": r.subscribe, "ping": r.ping, "pong": r.pong, "answer": r.answer, "ask": r.ask,
	}[r.name]
	if run == nil {
		return fmt.Errorf("no role %q", r.name)
	}
	if err := run(ctx, sessions); err != nil && ctx.Err() == nil {
		return err
	}
	<-over
	return nil
}

var benchKey, pingKey, pongKey, askKey = zenoh.MustKeyExpr("bench/data"), zenoh.MustKeyExpr("bench/ping"), zenoh.MustKeyExpr("bench/pong"), zenoh.MustKeyExpr("bench/ask")

func (r zenohRole) idle(context.Context, []*zenoh.Session) error {
	fmt.Println("ready")
	return nil
}

// publish puts as fast as there is room.
func (r zenohRole) publish(ctx context.Context, s []*zenoh.Session) error {
	p, err := s[0].DeclarePublisher(ctx, benchKey, &zenoh.PublisherOptions{CongestionControl: zenoh.CongestionControlBlock})
	if err != nil {
		return err
	}
	payload := make([]byte, r.number("size"))
	fmt.Println("ready")
	for ctx.Err() == nil {
		if err := p.Put(ctx, payload, nil); err != nil {
			return err
		}
	}
	return nil
}

// subscribe counts what comes to all sessions, from a while after the first message on. It says the rate, and allocations for each message.
func (r zenohRole) subscribe(ctx context.Context, sessions []*zenoh.Session) error {
	var count atomic.Int64
	for _, s := range sessions {
		if _, err := s.DeclareSubscriber(ctx, benchKey, zenoh.Closure[zenoh.Sample]{Call: func(zenoh.Sample) { count.Add(1) }}, nil); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	for count.Load() == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun, had := time.Now(), count.Load()
	time.Sleep(r.length())
	n, took := float64(count.Load()-had), time.Since(begun)
	runtime.ReadMemStats(&after)
	fmt.Println(n/took.Seconds(), float64(after.Mallocs-before.Mallocs)/n)
	return nil
}

var express = &zenoh.PublisherOptions{CongestionControl: zenoh.CongestionControlBlock, Express: true}

func (r zenohRole) pong(ctx context.Context, s []*zenoh.Session) error {
	p, err := s[0].DeclarePublisher(ctx, pongKey, express)
	if err != nil {
		return err
	}
	_, err = s[0].DeclareSubscriber(ctx, pingKey, zenoh.Closure[zenoh.Sample]{Call: func(m zenoh.Sample) { _ = p.Put(ctx, m.Payload(), nil) }}, nil)
	fmt.Println("ready")
	return err
}

// ping says the median and the 99th percentile of round trips, in nanoseconds.
func (r zenohRole) ping(ctx context.Context, s []*zenoh.Session) error {
	p, err := s[0].DeclarePublisher(ctx, pingKey, express)
	if err != nil {
		return err
	}
	heard := make(chan struct{}, 1000)
	if _, err := s[0].DeclareSubscriber(ctx, pongKey, zenoh.Closure[zenoh.Sample]{Call: func(zenoh.Sample) { heard <- struct{}{} }}, nil); err != nil {
		return err
	}
	fmt.Println("ready")
	payload := make([]byte, r.number("size"))
	for there := false; !there; { // until the other side is
		if err := p.Put(ctx, payload, nil); err != nil {
			return err
		}
		select {
		case <-heard:
			there = true
		case <-time.After(50 * time.Millisecond):
		}
	}
	var times []time.Duration
	for begun := time.Now(); time.Since(begun) < r.length(); {
		sent := time.Now()
		if err := p.Put(ctx, payload, nil); err != nil {
			return err
		}
		<-heard
		times = append(times, time.Since(sent))
	}
	slices.Sort(times)
	fmt.Println(quantile(times, 0.5).Nanoseconds(), quantile(times, 0.99).Nanoseconds())
	return nil
}

func (r zenohRole) answer(ctx context.Context, s []*zenoh.Session) error {
	reply := make([]byte, 64)
	_, err := s[0].DeclareQueryable(ctx, askKey, zenoh.Closure[*zenoh.Query]{Call: func(q *zenoh.Query) { _ = q.Reply(ctx, askKey, reply, nil) }},
		&zenoh.QueryableOptions{Complete: true})
	fmt.Println("ready")
	return err
}

// get asks once and tells whether there was one reply.
func get(ctx context.Context, s *zenoh.Session) bool {
	replies, err := s.Get(ctx, askKey, "", nil, nil)
	if err != nil {
		return false
	}
	n := 0
	for reply := range replies {
		if reply.Err() == nil {
			n++
		}
	}
	return n == 1
}

// ask says how many queries were answered in a second, with n in flight.
func (r zenohRole) ask(ctx context.Context, s []*zenoh.Session) error {
	for !get(ctx, s[0]) && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println("ready")
	var count, bad atomic.Int64
	var wg sync.WaitGroup
	begun := time.Now()
	for range r.number("n") {
		wg.Go(func() {
			for time.Since(begun) < r.length() {
				if !get(ctx, s[0]) {
					bad.Add(1)
				}
				count.Add(1)
			}
		})
	}
	wg.Wait()
	if n := bad.Load(); n > 0 {
		return fmt.Errorf("%d queries without their one reply", n)
	}
	fmt.Println(float64(count.Load()) / time.Since(begun).Seconds())
	return nil
}

// lineOf waits for the next line of a role and gives its figures.
func lineOf(lines *bufio.Scanner) ([]float64, error) {
	if !lines.Scan() {
		return nil, fmt.Errorf("the role has ended: %w", lines.Err())
	}
	var figures []float64
	for _, f := range strings.Fields(lines.Text()) {
		if v, err := strconv.ParseFloat(f, 64); err == nil {
			figures = append(figures, v)
		}
	}
	return figures, nil
}
