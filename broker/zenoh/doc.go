// Package zenoh is a Zenoh 1.x session in pure Go: publish and subscribe, queries, and liveliness, as a client of a router or as a peer.
//
// A Session is opened with Open and used by any number of goroutines. Its names are those of the other bindings of Zenoh; what may wait takes
// a context.
//
// # Guarantees
//
// A sample reaches each matching subscriber of a session once, also when the session itself published it, in the order of publication for each
// publisher, priority and reliability. A get ends exactly once: its channel is closed, or its closure's Drop called, after the last reply, a
// timeout, the end of its context, or the loss of the session; which it was is told by the last reply. After a lost connection a client
// connects again by itself and declares anew all that was declared; a listener for transport events learns of the gap, and liveliness
// subscribers get what changed meanwhile.
//
// # Handlers
//
// Closures run on goroutines of the session, one each, so they may block and may use the session: nothing else waits for them, until the queue
// in front of them is full (Config.Handlers). Then what comes in next waits for at most Handlers.Patience, is discarded and counted, and so is
// everything after it until the queue is half empty again. Queries that are discarded are answered with an error. A closure that panics ends
// the process, as any goroutine of Go does.
//
// # Memory
//
// All queues are bounded, in number and in bytes. Payloads that are handed to the application are its own; small ones may share a block of
// 4 KiB with others, so that one that is kept for long is better cloned.
package zenoh
