// Package filelock locks files between processes.
//
// Guarantee: while one process holds a lock, no other one on the same machine gets it; the system gives it back when the holder closes the file or
// ends, however it ends.
package filelock
