package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/stream"
)

// streams are the streams of changes that are open.
type streams struct {
	opened  prometheus.Gauge
	sent    prometheus.Counter
	missing prometheus.Counter
	lag     prometheus.Histogram
	ended   *prometheus.CounterVec

	sockets sync.WaitGroup // goroutines of WebSocket connections, which have left their handlers
	mu      sync.Mutex
	total   int
	classes map[string]int
	conns   map[net.Conn]struct{} // of sockets
}

func (s *streams) open(r prometheus.Registerer) error {
	s.classes, s.conns = map[string]int{}, map[net.Conn]struct{}{}
	s.opened = prometheus.NewGauge(prometheus.GaugeOpts{Name: "gateway_streams", Help: "Streams of changes that are open."})
	s.sent = prometheus.NewCounter(prometheus.CounterOpts{Name: "gateway_stream_changes_total", Help: "Changes that were sent to streams."})
	s.missing = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "gateway_stream_missing_total", Help: "Changes that streams were told to be missing, as they were no longer kept or the client was too slow.",
	})
	s.lag = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "gateway_stream_lag_seconds", Help: "Time from the commit of a change to its sending; of several that are sent together the oldest counts.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
	})
	s.ended = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gateway_stream_ends_total", Help: "Streams that ended, by reason: client, dead, slow, protocol, stopping, failed.",
	}, []string{"reason"})
	for _, c := range []prometheus.Collector{s.opened, s.sent, s.missing, s.lag, s.ended} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register stream metrics: %w", err)
		}
	}
	return nil
}

// admit counts a stream of a class, if there may be one more; release takes it back.
func (s *streams) admit(class string, cfg *StreamConfig) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= cfg.Max {
		return nil, fault.New(fault.Unavailable, "%d streams are open, which is the limit", cfg.Max)
	}
	if s.classes[class] >= cfg.MaxClass {
		return nil, fault.New(fault.Unavailable, "%d streams of class %s are open, which is the limit", cfg.MaxClass, class)
	}
	s.total++
	s.classes[class]++
	s.opened.Inc()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.total--
		if s.classes[class]--; s.classes[class] == 0 {
			delete(s.classes, class)
		}
		s.opened.Dec()
	}, nil
}

// track knows a socket's connection until it is forgotten, so that it can be cut.
func (s *streams) track(conn net.Conn) (forget func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[conn] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, conn)
	}
}

// drain waits for the sockets, which end by themselves when the gateway stops, and cuts those off that take longer than ctx.
func (s *streams) drain(ctx context.Context) {
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.SetWriteDeadline(time.Now().Add(closeTimeout)) // for who waits for a client that reads nothing
	}
	s.mu.Unlock()
	cut := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for conn := range s.conns {
			_ = conn.Close() // there is nobody to tell
		}
	})
	defer cut()
	s.sockets.Wait()
}

// watch is what a client asks to see.
type watch struct {
	filter   odgm.StreamFilter
	from     odgm.Position
	extended bool
}

// watchClass is for a whole class, watchShard for a partition or, with _, all of them, watchObject for one object.
func (x *exchange) watchClass() (watch, error) {
	return x.watch(odgm.StreamFilter{Class: x.param("cls"), Partition: odgm.AnyPartition})
}

func (x *exchange) watchShard() (watch, error) {
	partition, err := x.partition()
	if err != nil {
		return watch{}, err
	}
	return x.watch(odgm.StreamFilter{Class: x.param("cls"), Partition: partition})
}

func (x *exchange) watchObject() (watch, error) {
	t, err := x.target()
	if err != nil {
		return watch{}, err
	}
	ref, err := x.g.grid.Resolve(t)
	if err != nil {
		return watch{}, err
	}
	return x.watch(odgm.StreamFilter{Class: ref.Class, Partition: int(ref.Partition), Object: ref.ID})
}

// watch adds what the query says.
func (x *exchange) watch(filter odgm.StreamFilter) (watch, error) {
	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return watch{}, fault.Wrap(fault.InvalidURL, err, "query")
	}
	filter.Entries, filter.Actions, filter.Methods = query["entry"], query["action"], query["method"]
	filter.Slow = x.g.cfg.Streams.Slow
	w := watch{filter: filter}
	switch form := query.Get("form"); form {
	case "", "plain":
	case "extended":
		w.extended = true
	default:
		return w, fault.New(fault.InvalidArgument, "parameter form: %q is neither plain nor extended", form)
	}
	w.from, err = x.from(query, filter.Partition)
	return w, err
}

// from gives where a stream begins: parameter from is a position, earliest or now; after is the number of a change in the partition.
func (x *exchange) from(query url.Values, partition int) (odgm.Position, error) {
	from, after := query.Get("from"), query.Get("after")
	switch {
	case from != "" && after != "":
		return "", fault.New(fault.InvalidArgument, "give either from or after, not both")
	case after != "":
		seq, err := strconv.ParseUint(after, 10, 63)
		if err != nil {
			return "", fault.New(fault.InvalidArgument, "parameter after: %q is not the number of a change", after)
		}
		if partition == odgm.AnyPartition {
			if class, err := x.g.grid.Class(x.param("cls")); err != nil || class.Partitions > 1 {
				return "", errors.Join(err, fault.New(fault.InvalidArgument, "changes are numbered in each partition: name the partition, or use from instead of after"))
			}
			partition = 0
		}
		return stream.After(uint32(partition), seq), nil
	case from == "earliest":
		return stream.Earliest, nil
	case from == "now":
		return stream.Now, nil
	}
	return odgm.Position(from), nil
}

// subscription is a stream that is open for a client.
type subscription struct {
	*odgm.Stream
	g        *Gateway
	extended bool
	release  func()
	scratch  []byte
}

// subscribe opens what a client asks for.
func (x *exchange) subscribe(w watch) (*subscription, error) {
	release, err := x.g.streams.admit(w.filter.Class, &x.g.cfg.Streams)
	if err != nil {
		return nil, err
	}
	opened, err := x.g.grid.Subscribe(&x.ctx, w.filter, w.from)
	if err != nil {
		release()
		return nil, err
	}
	return &subscription{Stream: opened, g: x.g, extended: w.extended, release: release}, nil
}

// close ends the stream for a reason.
func (s *subscription) close(reason string) {
	s.Close()
	s.g.streams.ended.WithLabelValues(reason).Inc() // before it no longer counts as open, so that the two add up
	s.release()
}

// writers buffer what is sent at a time; a stream has one only while it sends.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 16<<10) }}

// maxSent is how many messages are sent before a stream looks at what else there is to do.
const maxSent = 256

// send writes what there is now, one message after the other, each by frame; more is true when it stopped before the end. The message is good during
// the call of frame.
func (s *subscription) send(w *bufio.Writer, frame func(w *bufio.Writer, message []byte, gap bool) error) (more bool, err error) {
	sent := 0
	var oldest time.Time
	defer func() {
		if sent > 0 {
			s.g.streams.sent.Add(float64(sent))
			s.g.streams.lag.Observe(time.Since(oldest).Seconds())
		}
	}()
	for range maxSent {
		c, err := s.TryNext(s.g.stopping)
		var message []byte
		gap, isGap := errors.AsType[*odgm.Gap](err)
		switch {
		case isGap:
			s.scratch = gap.AppendJSON(s.scratch[:0], s.Stream)
			message = s.scratch
			s.g.streams.missing.Add(float64(gap.Missing()))
		case err != nil || c == nil:
			return false, err
		case s.extended:
			s.scratch = c.AppendExtended(s.scratch[:0], s.Stream)
			message = s.scratch
		case len(c.Entries) == 0:
			continue // the end of a method, of which the plain form knows nothing
		default:
			message = c.JSON()
		}
		if !isGap {
			if sent++; sent == 1 {
				oldest = c.Time
			}
		}
		if err := frame(w, message, isGap); err != nil {
			return false, err
		}
		if cap(s.scratch) > maxPooled {
			s.scratch = nil
		}
	}
	return true, nil
}
