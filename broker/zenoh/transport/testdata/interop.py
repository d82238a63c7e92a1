"""A native session for the interop tests: publishes and subscribes as it is told. See interop_test.go."""

import json
import sys

import zenoh

config = zenoh.Config()
for key, value in json.loads(sys.argv[1]).items():
    config.insert_json5(key, json.dumps(value))

try:
    session = zenoh.open(config)
except zenoh.ZError as e:
    print("failed", flush=True)
    sys.exit(0)

with session:
    print("open", flush=True)

    def say(sample):
        data = sample.payload.to_bytes()
        print(f"{sample.key_expr} {len(data)} {sum(data)}", flush=True)

    session.declare_subscriber("to/python/**", say)
    print("ready", flush=True)
    pattern = bytes(range(251))
    for line in sys.stdin:
        size = int(line)
        session.put("to/go/a", (pattern * (size // 251 + 1))[:size], congestion_control=zenoh.CongestionControl.BLOCK)
