"""A session of the native implementation, told by lines on stdin what to do. Usage: native.py '<configuration as JSON>'.

Each line is a JSON list: a command and its arguments. What happens is told on stdout, a line each.
"""
import json
import sys
import threading
import time

import zenoh
import zenoh.ext

lock = threading.Lock()


def tell(*words):
    with lock:
        print(*words, flush=True)


def show(payload):
    b = payload.to_bytes()
    return f"({len(b)} bytes)" if len(b) > 40 else b.decode()


config = zenoh.Config()
for key, value in json.loads(sys.argv[1]).items():
    config.insert_json5(key, json.dumps(value))
session = zenoh.open(config)
tell("open", session.info.zid())
kept = {}


def sub(key):
    kept["sub", key] = session.declare_subscriber(
        key, lambda s: tell("sample", key, str(s.kind).split(".")[-1], s.key_expr, show(s.payload), "stamped" if s.timestamp else "bare"))


def unsub(key):
    kept.pop(("sub", key)).undeclare()


def pub(key):
    p = kept["pub", key] = session.declare_publisher(key, congestion_control=zenoh.CongestionControl.BLOCK)
    kept["matching", key] = p.declare_matching_listener(lambda s: tell("matching", s.matching))
    tell("matching now", p.matching_status.matching)


def put(key, size, count=1):
    p = kept.get(("pub", key))
    for i in range(count):
        payload = b"x" * size if size > 40 else str(i).encode()
        if p:
            p.put(payload)
        else:
            session.put(key, payload, congestion_control=zenoh.CongestionControl.BLOCK)


def delete(key):
    session.delete(key)


def qabl(key, complete, *replies):
    def answer(q):
        for r in replies:
            if r == "error":
                q.reply_err("oops")
            elif r == "hang":
                tell("asked", q.key_expr)
                time.sleep(60)
            elif isinstance(r, int):
                q.reply(q.key_expr, b"y" * r)
            else:
                q.reply(r, r)
    kept["qabl", key] = session.declare_queryable(key, answer, complete=complete)


def get(selector, target, size):
    targets = {"best": zenoh.QueryTarget.BEST_MATCHING, "all": zenoh.QueryTarget.ALL, "complete": zenoh.QueryTarget.ALL_COMPLETE}
    answers = []
    for r in session.get(selector, target=targets[target], payload=b"z" * size if size else None, consolidation=zenoh.ConsolidationMode.NONE):
        answers.append(f"{r.ok.key_expr}={show(r.ok.payload)}" if r.ok else f"error={show(r.err.payload)}")
    tell("replies", *sorted(answers))


def token(key):
    kept["token", key] = session.liveliness().declare_token(key)


def untoken(key):
    kept.pop(("token", key)).undeclare()


def live(key):
    tell("alive", *sorted({str(r.ok.key_expr) for r in session.liveliness().get(key) if r.ok}))


def watch(key, history):
    kept["watch", key] = session.liveliness().declare_subscriber(
        key, lambda s: tell("token", str(s.kind).split(".")[-1], s.key_expr), history=history)


def admin():
    tell("admin", *sorted(str(r.ok.key_expr) for r in session.get("@/*/router/**") if r.ok))


def many(count, prefix):
    """Declares subscribers with all kinds of wildcards, and tells when each has heard once."""
    heard = []

    def hear(_):
        with lock:
            heard.append(1)
            n = len(heard)
        if n == count:
            tell("all heard")
    forms = ["/**", "/*/x", "/a/x", "/a$*/x", "/**/x$*"]
    kept["many", prefix] = [session.declare_subscriber(prefix + forms[i % len(forms)], hear) for i in range(count)]


def advpub(key):
    kept["advpub", key] = zenoh.ext.declare_advanced_publisher(
        session, key, cache=zenoh.ext.CacheConfig(max_samples=10), publisher_detection=True,
        sample_miss_detection=zenoh.ext.MissDetectionConfig(heartbeat=0.1))


def advput(key, *texts):
    for t in texts:
        kept["advpub", key].put(t)


def advsub(key):
    kept["advsub", key] = zenoh.ext.declare_advanced_subscriber(
        session, key, lambda s: tell("sample", s.key_expr, show(s.payload)), history=zenoh.ext.HistoryConfig(detect_late_publishers=True),
        recovery=zenoh.ext.RecoveryConfig(heartbeat=True), subscriber_detection=True)


commands = [sub, unsub, pub, put, delete, qabl, get, token, untoken, live, watch, admin, many, advpub, advput, advsub]
names = {f.__name__: f for f in commands}
for line in sys.stdin:
    name, *args = json.loads(line)
    names[name](*args)
    tell("done", name)
session.close()
