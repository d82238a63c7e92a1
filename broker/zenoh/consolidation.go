package zenoh

// Bounds of what one get keeps for consolidation.
const (
	maxKept      = 1 << 20 // keys
	maxKeptBytes = 1 << 30
)

// reply takes a reply, which the handler gets at once, at the end, or never.
func (q *query) reply(r *Reply) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended:
	case r.err != nil:
		q.push(r)
	case q.mode == ConsolidationNone && !q.unique:
		q.push(r)
	default:
		q.consolidate(r)
	}
}

// push hands a reply over. It and those below are called with the lock held.
func (q *query) push(r *Reply) {
	if !q.sink.push(r) {
		q.failed = ErrOverflow
	}
}

// consolidate keeps the newest reply of each key, and hands it on if that is wanted at once. A reply without a time is older than all others.
func (q *query) consolidate(r *Reply) {
	last := q.last.find(r.sample.key)
	weight := r.weight()
	switch {
	case last != nil:
		newer := r.sample.timestamp.Compare(last.sample.timestamp)
		if q.unique || newer < 0 || newer == 0 && q.mode == ConsolidationMonotonic {
			return
		}
		weight -= last.weight()
	case len(q.last.replies) >= maxKept:
		q.failed = ErrOverflow
		return
	}
	if q.bytes+r.weight() > maxKeptBytes {
		q.failed = ErrOverflow
		return
	}
	keep := r
	if q.mode == ConsolidationLatest {
		q.bytes += weight
	} else {
		keep = &Reply{sample: Sample{key: r.sample.key, timestamp: r.sample.timestamp}} // all that is compared
		q.push(r)
	}
	if last != nil {
		*last = *keep
	} else {
		q.last.add(keep)
	}
}

// latest has the newest reply of each key, in the order in which keys came first.
type latest struct {
	replies []Reply
	places  map[KeyExpr]int // of those, if they are many
}

// manyReplies is how many replies are looked up by a map.
const manyReplies = 8

func (l *latest) find(key KeyExpr) *Reply {
	if l.places != nil {
		if i, found := l.places[key]; found {
			return &l.replies[i]
		}
		return nil
	}
	for i := range l.replies {
		if l.replies[i].sample.key == key {
			return &l.replies[i]
		}
	}
	return nil
}

func (l *latest) add(r *Reply) {
	l.replies = append(l.replies, *r)
	switch n := len(l.replies); {
	case n == manyReplies:
		l.places = make(map[KeyExpr]int, 2*n)
		for i := range l.replies {
			l.places[l.replies[i].sample.key] = i
		}
	case n > manyReplies:
		l.places[r.sample.key] = n - 1
	}
}
