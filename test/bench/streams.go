package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Figures of the stream measurement: so many subscribers of one class, and so many changes a second.
const (
	subscribers = 1000
	changeRate  = 1000
)

// streams has many WebSocket subscribers watch one class, and counts what reaches them, how late, and what they cost the platform in memory.
func streams(ctx context.Context, t *table, cfg config) error {
	p, err := newPlatform(cfg.oaas)
	if err != nil {
		return err
	}
	defer p.close()
	if _, err := p.start(ctx); err != nil {
		return err
	}
	if err := p.deploy(ctx); err != nil {
		return err
	}
	if err := change(ctx, p, cfg.length); err != nil { // the memory that changes alone take
		return err
	}
	before := rss(p)
	crowd := make([]*subscriber, subscribers)
	var reading sync.WaitGroup
	for i := range crowd {
		if crowd[i], err = subscribe(ctx, p.addr); err != nil {
			return fmt.Errorf("subscriber %d: %w", i, err)
		}
		defer crowd[i].conn.Close()
		reading.Go(crowd[i].read)
	}
	idle := rss(p)
	if err := change(ctx, p, cfg.length); err != nil {
		return err
	}
	busy := rss(p)
	all := lags{}
	deadline := time.Now().Add(10 * time.Second)
	made := int64(cfg.length.Seconds() * changeRate)
	for _, s := range crowd {
		for s.count.Load() < made && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		_ = s.conn.Close()
	}
	reading.Wait()
	for _, s := range crowd {
		all.add(&s.lags)
	}
	text, err := p.do(ctx, http.MethodGet, "/metrics", "text/plain", nil)
	if err != nil {
		return err
	}
	t.note(fmt.Sprintf("%d WebSocket subscribers of one class, %d synced changes/s for %s", subscribers, changeRate, cfg.length),
		fmt.Sprintf("delivered %d of %d, told to be missing %.0f; lag from before the write: p50 %d ms, p99 %d ms; memory a subscriber %d KiB quiet, %d KiB busy",
			all.total, made*subscribers, metric(string(text), "gateway_stream_missing_total"), all.quantile(0.5), all.quantile(0.99),
			(idle-before)/subscribers, (busy-before)/subscribers))
	return nil
}

// change makes changes at the rate, each of an object whose id is the time at which it was begun.
func change(ctx context.Context, p *platform, length time.Duration) error {
	const writers = 16
	count := int64(length.Seconds() * changeRate)
	begun := time.Now()
	var next atomic.Int64
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := next.Add(1); n <= count && errs[w] == nil; n = next.Add(1) {
				time.Sleep(time.Until(begun.Add(time.Duration(n) * time.Second / changeRate)))
				path := fmt.Sprintf("/api/class/bench.record/_/objects/%d/entries/x", time.Now().UnixNano())
				_, errs[w] = p.do(ctx, http.MethodPut, path, "application/octet-stream", []byte("x"))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// rss gives the resident memory of the platform in KiB, 0 where the system does not tell.
func rss(p *platform) int {
	time.Sleep(500 * time.Millisecond) // lets what was begun end
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.Atoi(fields[0])
	return kib
}

// lags counts deliveries by how late they were, in milliseconds; the last one is for all that were later.
type lags struct {
	counts [10_000]int64
	total  int64
}

func (l *lags) add(other *lags) {
	l.total += other.total
	for i, n := range other.counts {
		l.counts[i] += n
	}
}

func (l *lags) quantile(q float64) int {
	seen := int64(0)
	for i, n := range l.counts {
		if seen += n; n > 0 && float64(seen) >= q*float64(l.total) {
			return i
		}
	}
	return 0
}

// subscriber reads frames with as little work as it can, as it shares the processors with what is measured.
type subscriber struct {
	conn  net.Conn
	in    *bufio.Reader
	lags  lags
	count atomic.Int64
}

func subscribe(ctx context.Context, addr string) (*subscriber, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(conn, "GET /api/class/bench.record/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err != nil {
		return nil, err
	}
	s := &subscriber{conn: conn, in: bufio.NewReaderSize(conn, 16<<10)}
	response, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New(response.Status)
	}
	return s, nil
}

// read takes frames until the connection ends. A message begins with the object's id, which is the time of its making.
func (s *subscriber) read() {
	var start = []byte(`{"object_id":"`)
	const digits = 19
	for {
		header, err := s.in.Peek(4)
		if err != nil {
			return
		}
		length, skip := int(header[1]), 2
		if length == 126 {
			length, skip = int(header[2])<<8|int(header[3]), 4
		}
		frame, err := s.in.Peek(skip + length)
		if err != nil {
			return
		}
		if text := frame[skip:]; bytes.HasPrefix(text, start) {
			made, _ := strconv.ParseInt(string(text[len(start):len(start)+digits]), 10, 64)
			late := time.Now().UnixNano() - made
			s.lags.counts[max(0, min(int(late/int64(time.Millisecond)), len(s.lags.counts)-1))]++
			s.lags.total++
			s.count.Add(1)
		}
		_, _ = s.in.Discard(skip + length) // it is all there
	}
}
