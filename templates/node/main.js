// Serves two classes: counters, and the audit that is called when a counter changes.

import { pathToFileURL } from "node:url";
import { Failure, method, serve } from "./oaas.js";

/** Raises the count: {"by": 2}, or by one if nothing else is asked for. */
method("{{.Name}}.counter", "add", (call) => {
  const count = (call.state.count ?? 0) + (call.input?.by ?? 1);
  if (count < 0) throw new Failure(409, "the count cannot go below zero");
  call.state.count = count;
  return { count };
});

/** Gives the count. It is readonly, so it never waits for a method that is running. */
method("{{.Name}}.counter", "get", (call) => ({ count: call.state.count ?? 0 }));

/** Is called by the triggers in oaas-package.yaml, with the change. */
method("{{.Name}}.audit", "record", (call) => {
  call.state.changes = (call.state.changes ?? 0) + 1;
  call.state.last = call.change.value;
});

if (import.meta.url === pathToFileURL(process.argv[1]).href) serve();
