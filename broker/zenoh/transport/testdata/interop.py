"""A native session for the interop tests: publishes and subscribes as it is told. See interop_test.go."""

import json
import sys

import zenoh

mode, endpoint = sys.argv[1], sys.argv[2]
config = zenoh.Config()
for key, value in {
    "mode": mode,
    "scouting/multicast/enabled": False,
    "listen/endpoints": [endpoint] if mode == "router" else [],
    "connect/endpoints": [] if mode == "router" else [endpoint],
}.items():
    config.insert_json5(key, json.dumps(value))

with zenoh.open(config) as session:
    print("open", flush=True)

    def say(sample):
        data = sample.payload.to_bytes()
        print(f"{sample.key_expr} {len(data)} {sum(data)}", flush=True)

    session.declare_subscriber("to/python/**", say)
    print("ready", flush=True)
    for line in sys.stdin:
        size = int(line)
        session.put("to/go/a", bytes(i % 251 for i in range(size)), congestion_control=zenoh.CongestionControl.BLOCK)
