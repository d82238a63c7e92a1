package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// waitForPort waits until somebody listens.
func waitForPort(ctx context.Context, address string) error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			return conn.Close()
		}
	}
	return fmt.Errorf("nobody listens on %s", address)
}

// topology is who plays which part. Without a router, the sessions are two peers.
type topology struct {
	sessions side
	router   *side
}

func (p topology) String() string {
	if p.router == nil {
		return p.sessions.name + " to " + p.sessions.name + ", direct"
	}
	return fmt.Sprintf("sessions %s, router %s", p.sessions.name, p.router.name)
}

// measure has one role answer another one, and gives the figures of the one that says some.
type measure struct {
	passive, active string // roles; the passive one starts first, and listens if there is no router
	figures         string // the role whose figures count
	args            []string
	passiveArgs     []string
}

func (m measure) run(ctx context.Context, p topology) (figures []float64, err error) {
	passive, active, err := p.places(ctx)
	if err != nil {
		return nil, err
	}
	defer passive.done()
	first, err := p.sessions.start(ctx, m.passive, slices.Concat(m.args, m.passiveArgs, passive.args)...)
	if err != nil {
		return nil, err
	}
	defer first.stop()
	second, err := p.sessions.start(ctx, m.active, slices.Concat(m.args, active)...)
	if err != nil {
		return nil, err
	}
	defer second.stop()
	if m.figures == m.passive {
		return lineOf(first.lines)
	}
	return lineOf(second.lines)
}

// place is how a session connects, and what is to be done when it has ended.
type place struct {
	args []string
	done func()
}

func (p topology) places(ctx context.Context) (passive place, active []string, err error) {
	if p.router == nil {
		address, err := freeAddress()
		if err != nil {
			return place{}, nil, err
		}
		return place{[]string{"mode=peer", "listen=tcp/" + address}, func() {}}, []string{"mode=peer", "connect=tcp/" + address}, nil
	}
	router, endpoint, err := p.router.startRouter(ctx)
	if err != nil {
		return place{}, nil, err
	}
	args := []string{"mode=client", "connect=" + endpoint}
	return place{args, router.stop}, args, nil
}

// row is a measure that is shown for several topologies.
type row struct {
	name   string
	m      measure
	unit   func([]float64) string
	less   bool // is better
	direct bool // also without a router
	mixed  bool // also our sessions on the native router, and the reverse
}

// perSecond also has allocations, where a role says them.
func perSecond(v []float64) string {
	text := fmt.Sprintf("%.0f/s", v[0])
	if len(v) > 1 {
		text += fmt.Sprintf("; %.3f allocations a message", v[1])
	}
	return text
}

func roundTrip(v []float64) string {
	return fmt.Sprintf("p50 %.0f µs, p99 %.0f µs", v[0]/1e3, v[1]/1e3)
}

func zenohRows(length time.Duration) []row {
	args := func(more ...string) []string {
		return append([]string{fmt.Sprint("ms=", length.Milliseconds())}, more...)
	}
	var rows []row
	for _, size := range []struct {
		name  string
		bytes int
	}{{"8 B", 8}, {"1 KiB", 1 << 10}, {"64 KiB", 1 << 16}} {
		m := measure{"sub", "pub", "sub", args(fmt.Sprint("size=", size.bytes)), nil}
		rows = append(rows, row{"one-way messages of " + size.name, m, perSecond, false, true, true})
	}
	return append(rows,
		row{"round trip of 64 B, express", measure{"pong", "ping", "ping", args("size=64"), nil}, roundTrip, true, true, true},
		row{"queries with one reply, 1 in flight", measure{"answer", "ask", "ask", args("n=1"), nil}, perSecond, false, false, true},
		row{"queries with one reply, 16 in flight", measure{"answer", "ask", "ask", args("n=16"), nil}, perSecond, false, false, true},
		row{"deliveries to 100 sessions of messages of 64 B", measure{"sub", "pub", "sub", args("size=64"), []string{"sessions=100"}}, perSecond, false, false, false},
	)
}

// zenohFigures measures our session and router beside the native ones, in all combinations: in each round every topology has its turn, and
// the medians of the figures and of the ratios within a round are shown.
func zenohFigures(ctx context.Context, t *table, cfg config) error {
	ours, native, err := zenohSides(cfg)
	if err != nil {
		return err
	}
	for _, r := range zenohRows(cfg.length) {
		if !strings.Contains(r.name, cfg.match) {
			continue
		}
		if err := r.compare(ctx, t, cfg.rounds, ours, native); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return idleSessions(ctx, t, ours, native)
}

// pairs are topologies of ours, each with the native one that it is shown beside.
func (r row) pairs(ours side, native *side) [][2]*topology {
	var beside, direct *topology
	if native != nil {
		beside, direct = &topology{*native, native}, &topology{*native, nil}
	}
	pairs := [][2]*topology{{{ours, &ours}, beside}}
	if native != nil && r.mixed {
		pairs = append(pairs, [2]*topology{{ours, native}, beside}, [2]*topology{{*native, &ours}, beside})
	}
	if r.direct {
		pairs = append(pairs, [2]*topology{{ours, nil}, direct})
	}
	return pairs
}

// compare shows the row for all topologies.
func (r row) compare(ctx context.Context, t *table, rounds int, ours side, native *side) error {
	pairs := r.pairs(ours, native)
	figures := map[string][][]float64{}
	for round := range rounds {
		for _, pair := range pairs {
			for _, p := range pair {
				if p == nil || len(figures[p.String()]) > round {
					continue // it had its turn in this round
				}
				v, err := r.m.run(ctx, *p)
				if err != nil {
					return fmt.Errorf("%s: %w", p, err)
				}
				figures[p.String()] = append(figures[p.String()], v)
			}
		}
	}
	for _, pair := range pairs {
		mine := figures[pair[0].String()]
		if pair[1] == nil {
			t.note(r.name+": "+pair[0].String(), r.unit(medians(mine)))
			continue
		}
		theirs := figures[pair[1].String()]
		t.add(r.name+": "+pair[0].String(), r.unit(medians(mine)), pair[1].String()+": "+r.unit(medians(theirs)), r.ratio(mine, theirs))
	}
	return nil
}

// ratio gives the median of the ratios of the rounds; above 1 is better than the native one.
func (r row) ratio(mine, theirs [][]float64) float64 {
	var ratios []float64
	for i := range mine {
		ratio := mine[i][0] / theirs[i][0]
		if r.less {
			ratio = 1 / ratio
		}
		ratios = append(ratios, ratio)
	}
	return median(ratios)
}

// medians gives the median of each column.
func medians(rows [][]float64) []float64 {
	var out []float64
	for i := range rows[0] {
		var column []float64
		for _, r := range rows {
			column = append(column, r[i])
		}
		out = append(out, median(column))
	}
	return out
}

// idle is how many sessions the memory is measured with.
const idle = 1000

// idleSessions measures what a session costs its own process and the router when nothing happens.
func idleSessions(ctx context.Context, t *table, ours side, native *side) error {
	beside := ""
	var theirs []float64
	if native != nil {
		var err error
		if theirs, err = idleMemory(ctx, *native); err != nil {
			return fmt.Errorf("idle sessions of %s: %w", native.name, err)
		}
		beside = "native: "
	}
	mine, err := idleMemory(ctx, ours)
	if err != nil {
		return fmt.Errorf("idle sessions of %s: %w", ours.name, err)
	}
	for i, who := range []string{"router", "sessions' process"} {
		name, show := fmt.Sprintf("memory of an idle session of %d: %s", idle, who), func(v []float64) string { return fmt.Sprintf("%.1f KiB", v[i]/1024) }
		if theirs == nil {
			t.note(name, show(mine))
			continue
		}
		t.add(name, show(mine), beside+show(theirs), theirs[i]/mine[i])
	}
	return nil
}

// idleMemory gives the growth of the resident memory of a router, and that of the process of the sessions, for each session. They are ours for
// our router and native for the native one.
func idleMemory(ctx context.Context, s side) ([]float64, error) {
	router, endpoint, err := s.startRouter(ctx)
	if err != nil {
		return nil, err
	}
	defer router.stop()
	var at [2][2]float64
	for i, n := range []int{1, idle} {
		sessions, err := s.start(ctx, "idle", "mode=client", "connect="+endpoint, fmt.Sprint("sessions=", n))
		if err != nil {
			return nil, err
		}
		time.Sleep(2 * time.Second) // they become idle
		for j, p := range []*process{router, sessions} {
			if at[i][j], err = p.resident(); err != nil {
				sessions.stop()
				return nil, err
			}
		}
		sessions.stop()
	}
	return []float64{(at[1][0] - at[0][0]) / (idle - 1), (at[1][1] - at[0][1]) / (idle - 1)}, nil
}
