"""Serves two classes: counters, and the audit that is called when a counter changes."""

import oaas


@oaas.method("{{.Name}}.counter")
def add(call):
    """Raises the count: {"by": 2}, or by one if nothing else is asked for."""
    count = call.state.get("count", 0) + (call.input or {}).get("by", 1)
    if count < 0:
        raise oaas.Failure(409, "the count cannot go below zero")
    call.state["count"] = count
    return {"count": count}


@oaas.method("{{.Name}}.counter")
def get(call):
    """Gives the count. It is readonly, so it never waits for a method that is running."""
    return {"count": call.state.get("count", 0)}


@oaas.method("{{.Name}}.audit")
def record(call):
    """Is called by the triggers in oaas-package.yaml, with the change."""
    call.state["changes"] = call.state.get("changes", 0) + 1
    call.state["last"] = call.change["value"]


if __name__ == "__main__":
    oaas.serve()
