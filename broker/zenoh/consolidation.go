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
	key := r.sample.key
	old, seen := q.last[key]
	newer := r.sample.timestamp.Compare(old.sample.timestamp)
	switch {
	case seen && (q.unique || newer < 0 || newer == 0 && q.mode == ConsolidationMonotonic):
		return
	case !seen && len(q.last) >= maxKept, q.bytes+r.weight() > maxKeptBytes:
		q.failed = ErrOverflow
		return
	}
	if q.last == nil {
		q.last = make(map[KeyExpr]Reply)
	}
	if q.mode == ConsolidationLatest {
		q.bytes += r.weight() - old.weight()
		q.last[key] = *r
		return
	}
	q.last[key] = Reply{sample: Sample{timestamp: r.sample.timestamp}} // all that is compared
	q.push(r)
}
