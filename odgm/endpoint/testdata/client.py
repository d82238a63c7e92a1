"""Asks what it is told to, one JSON document a line, with the native implementation of Zenoh, and prints the answers the same way."""

import base64
import json
import sys

import zenoh


def answers(session, ask):
    payload = None if ask["payload"] is None else base64.b64decode(ask["payload"])
    if ask["do"] == "put":
        session.put(ask["key"], payload)
        return []
    if ask["do"] == "delete":
        session.delete(ask["key"])
        return []
    if ask["do"] == "liveliness":
        replies = session.liveliness().get(ask["key"])
    else:
        replies = session.get(ask["key"], payload=payload, consolidation=zenoh.ConsolidationMode.NONE, timeout=20)
    found = []
    for reply in replies:
        sample = reply.ok or reply.err
        found.append({
            "key": str(reply.ok.key_expr) if reply.ok else "",
            "error": None if reply.ok else sample.payload.to_string(),
            "payload": base64.b64encode(sample.payload.to_bytes()).decode(),
        })
    return found


config = zenoh.Config.from_json5(json.dumps({
    "mode": "client", "connect": {"endpoints": [sys.argv[1]]}, "scouting": {"multicast": {"enabled": False}},
}))
with zenoh.open(config) as session:
    events = session.declare_subscriber("oprc/*/*/events/**")
    for line in sys.stdin:
        ask = json.loads(line)
        if ask["do"] == "event":
            sample = events.recv()
            print(json.dumps([{"key": str(sample.key_expr), "error": None, "payload": base64.b64encode(sample.payload.to_bytes()).decode()}]), flush=True)
            continue
        print(json.dumps(answers(session, ask)), flush=True)
