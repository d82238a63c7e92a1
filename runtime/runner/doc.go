// Package runner runs user functions as child processes of oaas, the way Knative Serving runs them as pods.
//
// What it guarantees:
//
//   - A function sees Knative's environment (PORT, K_SERVICE, K_CONFIGURATION, K_REVISION, and the variables of its [Spec]) and is
//     ready when it accepts TCP connections on PORT, as with Knative's default probe.
//   - How many instances run is decided by Knative's own autoscaler, with Knative's annotations and defaults; a request that finds
//     none starts one at once and waits for it. No instance gets more requests at a time than the [Spec] allows.
//   - A new revision takes over only when it is ready; no request fails because of the change. One that does not start changes nothing,
//     and the error carries the last lines that it wrote.
//   - An instance is stopped gracefully: no new requests, the running ones end, SIGTERM, and SIGKILL only when it does not obey.
//   - Nothing that a function started outlives oaas, however oaas ends. See below for what that means on which platform.
//   - Failures that a caller can do something about are *fault.Error: Busy (queue full), FunctionUnavailable (cannot start, or its process
//     died under the request), DeadlineExceeded and Cancelled (the caller's context), Unavailable (the runner stops).
//
// A [Function] is an http.RoundTripper, so that it serves wherever a client of a Knative Service would.
//
// # Platforms
//
// On Linux three nets hold the processes. Each child is the leader of an own process group that is killed as soon as the child has ended;
// the kernel kills the child when oaas dies (parent death signal); and a guard process (oaas itself, see [MaybeRunGuard]), which
// notices the end of oaas by the end of a pipe, kills the process groups and then every process that inherited the run's mark in its
// environment, so also grandchildren in sessions of their own. Only a process that leaves the process group and wipes its environment escapes.
//
// On macOS and the other Unix systems there is no parent death signal and no scan of environments: the guard kills the process groups, so
// a grandchild in a process group of its own escapes.
//
// On Windows the guard kills the children, not their descendants, and there is no SIGTERM: functions are ended at once after they
// have drained.
package runner
