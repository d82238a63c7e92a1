"""A session of the native implementation: publishes, subscribes and scouts as it is told. See native.go."""

import json
import sys

import zenoh

settings = json.loads(sys.argv[1])
scout = settings.pop("scout", None)
config = zenoh.Config()
for key, value in settings.items():
    config.insert_json5(key, json.dumps(value))


def say(*words):
    print(*words, flush=True)


if scout is not None:
    what = zenoh.WhatAmIMatcher(scout)
    with zenoh.scout(what=what, config=config) as found:
        for hello in found:
            say("hello", hello.zid, hello.whatami, *hello.locators)
    sys.exit(0)

try:
    session = zenoh.open(config)
except zenoh.ZError:
    say("failed")
    sys.exit(0)


def got(sample):
    data = sample.payload.to_bytes()
    say(sample.key_expr, len(data), sum(data))


with session:
    say("open")
    session.declare_subscriber("to/python/**", got)
    say("ready")
    pattern = bytes(range(251))
    for line in sys.stdin:
        key, size = line.split()
        payload = (pattern * (int(size) // 251 + 1))[: int(size)]
        session.put(key, payload, congestion_control=zenoh.CongestionControl.BLOCK)
