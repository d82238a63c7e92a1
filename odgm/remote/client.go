package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/remote/message"
)

// ClientConfig says how a client works. The zero value has the defaults.
type ClientConfig struct {
	// Grace is how long streams of changes wait for a grid that is gone, before they end; 0 means 10 s.
	Grace  time.Duration
	Logger *slog.Logger
}

// Client is a grid whose classes are held by other processes, each by the one that serves it. Its methods may be called from many goroutines;
// they mean what those of odgm.Grid mean.
type Client struct {
	session *zenoh.Session
	log     *slog.Logger
	grace   time.Duration
	number  atomic.Uint64 // of the last request
	table   atomic.Pointer[table]

	ctx     context.Context
	stop    context.CancelFunc
	work    sync.WaitGroup
	alive   *zenoh.LivelinessSubscriber
	known   chan struct{} // closed when the nodes that were there at the start are known
	knowing sync.Once

	mu       sync.Mutex
	closed   bool
	nodes    map[string]*node
	first    map[string]bool // nodes of the start that have not told what they serve
	watchers map[string]*watcher
}

// node is a process with a server.
type node struct {
	generations map[uint64]bool // of its tokens that are there; none if it is gone
	learned     uint64          // generation that it had when it was asked last
	classes     map[string]odgm.Class
}

// table is what the client knows. It is never changed, only replaced.
type table struct {
	classes map[string]*served
	specs   []odgm.Class // sorted by name
}

// served is a class, and who serves it.
type served struct {
	spec odgm.Class
	node string // "" if it is gone
	keys []atomic.Pointer[zenoh.KeyExpr]
}

// learnTime is how long a node has to say what it serves, before it is asked again.
const learnTime = 5 * time.Second

// NewClient makes a client of all grids that are, or will be, in reach of the session. It waits until it knows the classes of those that are there,
// or ctx ends, which is no error: they may come later.
func NewClient(ctx context.Context, session *zenoh.Session, cfg ClientConfig) (*Client, error) {
	c := &Client{
		session: session, log: cfg.Logger, grace: cmp.Or(cfg.Grace, 10*time.Second), known: make(chan struct{}),
		nodes: map[string]*node{}, first: map[string]bool{}, watchers: map[string]*watcher{},
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.number.Store(rand.Uint64())
	c.table.Store(&table{classes: map[string]*served{}})
	c.ctx, c.stop = context.WithCancel(context.Background())
	key, err := zenoh.NewKeyExpr(aliveSpace + "*/*")
	if err == nil {
		c.alive, err = session.Liveliness().DeclareSubscriber(ctx, key, zenoh.Closure[zenoh.Sample]{Call: c.token}, &zenoh.LivelinessSubscriberOptions{History: true})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("look for grids: %w", err), c.Close(ctx))
	}
	c.work.Go(func() { c.greet(key) })
	select {
	case <-c.known:
	case <-ctx.Done():
	}
	return c, nil
}

// greet finds out which nodes are there at the start, so that Ready can wait for what they serve.
func (c *Client) greet(key zenoh.KeyExpr) {
	for c.ctx.Err() == nil {
		replies, err := c.session.Liveliness().Get(c.ctx, key, nil, nil)
		if err != nil {
			c.pause(time.Second)
			continue
		}
		whole := true
		for r := range replies {
			if !r.IsOk() {
				whole = false
				continue
			}
			if id, _, ok := parseToken(r.Sample().KeyExpr()); ok {
				c.mu.Lock()
				if n := c.nodes[id]; n == nil || n.learned == 0 {
					c.first[id] = true
				}
				c.mu.Unlock()
			}
		}
		if whole {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first[""] = true // greeted
	c.checkKnown()
}

// checkKnown closes known when the nodes of the start are known. The caller holds mu.
func (c *Client) checkKnown() {
	if len(c.first) == 1 && c.first[""] {
		c.knowing.Do(func() { close(c.known) })
	}
}

// pause waits, or until the client is closed.
func (c *Client) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
	}
}

// Close ends the client; streams that are open end. The session stays open.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	watchers := slices.Collect(maps.Values(c.watchers))
	c.mu.Unlock()
	c.stop()
	var err error
	if c.alive != nil && !c.session.IsClosed() {
		err = c.alive.Undeclare(ctx)
	}
	for _, w := range watchers {
		w.end(fault.New(fault.Unavailable, "the platform is stopping"))
	}
	c.work.Wait()
	return err
}

// token takes note of a node's token that appears or goes.
func (c *Client) token(sample zenoh.Sample) {
	id, generation, ok := parseToken(sample.KeyExpr())
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[id]
	if sample.Kind() == zenoh.SampleKindPut {
		if n == nil {
			n = &node{generations: map[uint64]bool{}}
			c.nodes[id] = n
		}
		n.generations[generation] = true
		if n.learned == generation { // it was out of reach, and serves what it did
			c.log.Info("grid is back", "node", id, "classes", len(n.classes))
			c.rebuild()
		} else if !c.closed {
			c.work.Go(func() { c.learn(id, generation) })
		}
		return
	}
	if n == nil {
		return
	}
	delete(n.generations, generation)
	if len(n.generations) == 0 {
		delete(c.first, id)
		c.checkKnown()
		c.log.Info("grid is gone", "node", id, "classes", len(n.classes))
		c.rebuild()
	}
}

// learn asks a node what it serves, as long as its token is there.
func (c *Client) learn(id string, generation uint64) {
	for c.ctx.Err() == nil {
		c.mu.Lock()
		n := c.nodes[id]
		due := n != nil && n.generations[generation] && n.learned < generation
		c.mu.Unlock()
		if !due {
			return
		}
		classes, err := c.classesOf(id)
		if err == nil {
			c.learned(id, generation, classes)
			return
		}
		c.log.Debug("ask what a grid serves", "node", id, "error", err)
		c.mu.Lock()
		delete(c.first, id) // others do not wait for it
		c.checkKnown()
		c.mu.Unlock()
		c.pause(200 * time.Millisecond)
	}
}

func (c *Client) classesOf(id string) (map[string]odgm.Class, error) {
	key, err := nodeKey(id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.ctx, learnTime)
	defer cancel()
	res, err := c.query(ctx, key, "", &message.Request{Classes: true})
	if err != nil {
		return nil, err
	}
	classes := make(map[string]odgm.Class, len(res.GetClasses().GetClasses()))
	for _, m := range res.GetClasses().GetClasses() {
		classes[m.GetName()] = class(m)
	}
	return classes, nil
}

func (c *Client) learned(id string, generation uint64, classes map[string]odgm.Class) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[id]
	if n == nil || n.learned >= generation {
		return
	}
	n.learned, n.classes = generation, classes
	c.log.Info("grid serves", "node", id, "classes", strings.Join(slices.Sorted(maps.Keys(classes)), ", "))
	c.rebuild()
	delete(c.first, id)
	c.checkKnown()
}

// rebuild makes the table of what the nodes have told. A class of a node that is gone stays, served by nobody, until another one has it. The
// caller holds mu.
func (c *Client) rebuild() {
	old := c.table.Load()
	t := &table{classes: map[string]*served{}}
	for _, id := range slices.Sorted(maps.Keys(c.nodes)) {
		n := c.nodes[id]
		for name, spec := range n.classes {
			by := id
			if len(n.generations) == 0 {
				by = ""
			}
			if have := t.classes[name]; have != nil && (have.node != "" || by == "") {
				if by != "" {
					c.log.Warn("a class is served by two grids, calls go to either", "class", name, "nodes", have.node+", "+by)
				}
				continue
			}
			s := &served{spec: spec, node: by}
			if was := old.classes[name]; was != nil && len(was.keys) == spec.Partitions {
				s.keys = was.keys
			} else {
				s.keys = make([]atomic.Pointer[zenoh.KeyExpr], spec.Partitions)
			}
			t.classes[name] = s
		}
	}
	for id, n := range c.nodes {
		if len(n.generations) == 0 && superseded(n, t) {
			delete(c.nodes, id)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.classes)) {
		t.specs = append(t.specs, t.classes[name].spec)
	}
	c.table.Store(t)
	for name, w := range c.watchers {
		if _, err := c.watchable(name); err != nil {
			delete(c.watchers, name)
			w.end(err)
		}
	}
}

// superseded tells whether others serve all that a node that is gone has served.
func superseded(n *node, t *table) bool {
	for name := range n.classes {
		if t.classes[name].node == "" {
			return false
		}
	}
	return true
}

// served gives a class.
func (c *Client) served(name string) (*served, error) {
	t := c.table.Load()
	if s := t.classes[name]; s != nil {
		return s, nil
	}
	if err := c.Ready(); err != nil {
		return nil, err
	}
	return nil, odgm.NoClass(name, maps.Keys(t.classes))
}

// Ready gives nil when the client is connected, and knows the classes of the grids that were there when it began.
func (c *Client) Ready() error {
	select {
	case <-c.ctx.Done():
		return fault.New(fault.Unavailable, "the platform is stopping")
	default:
	}
	select {
	case <-c.known:
	default:
		return unavailable("the classes are not known yet: no grid has told what it serves")
	}
	if len(c.session.Transports()) == 0 {
		return unavailable("no connection to the Zenoh network")
	}
	return nil
}

// Classes gives the classes that are served, or were until their grid was lost, sorted by name.
func (c *Client) Classes() []odgm.Class { return slices.Clone(c.table.Load().specs) }

// Class gives a class that is served.
func (c *Client) Class(name string) (odgm.Class, error) {
	s, err := c.served(name)
	if err != nil {
		return odgm.Class{}, err
	}
	return s.spec, nil
}

// Resolve gives the identity of the object that a client names.
func (c *Client) Resolve(t odgm.Target) (object.Ref, error) {
	_, ref, err := c.locate(t)
	return ref, err
}

func (c *Client) locate(t odgm.Target) (*served, object.Ref, error) {
	s, err := c.served(t.Class)
	if err != nil {
		return nil, object.Ref{}, err
	}
	ref, err := s.spec.Locate(t)
	return s, ref, err
}
