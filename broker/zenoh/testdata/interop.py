"""A native session that does what the interop tests tell it, one JSON object a line. See interop_test.go."""

import json
import sys
import threading
import time

import zenoh

lock = threading.Lock()


def say(**what):
    with lock:
        print(json.dumps(what), flush=True)


def number(sample):
    data = sample.payload.to_bytes()
    text = data.decode() if len(data) < 100 else None
    return {
        "key": str(sample.key_expr),
        "kind": str(sample.kind).split(".")[-1],
        "size": len(data),
        "sum": sum(data),
        "text": text,
        "encoding": str(sample.encoding),
        "attachment": sample.attachment.to_bytes().decode() if sample.attachment is not None else None,
        "priority": str(sample.priority).split(".")[-1],
        "congestion": str(sample.congestion_control).split(".")[-1],
        "express": sample.express,
        "stamped": sample.timestamp is not None,
    }


def queryable(key, complete, texts, error, stamp, pause):
    def answer(query):
        with query:
            say(
                what="query",
                key=str(query.key_expr),
                parameters=str(query.parameters),
                text=query.payload.to_bytes().decode() if query.payload is not None else None,
                encoding=str(query.encoding) if query.encoding is not None else None,
                attachment=query.attachment.to_bytes().decode() if query.attachment is not None else None,
            )
            time.sleep(pause)
            for text in texts:
                k = key.replace("**", "x")
                query.reply(k, text, timestamp=session.new_timestamp() if stamp else None)
            if error:
                query.reply_err(error)

    return session.declare_queryable(key, answer, complete=complete)


def get(key, target):
    out = []
    for reply in session.get(key, target=getattr(zenoh.QueryTarget, target)):
        if reply.ok is not None:
            out.append({"key": str(reply.ok.key_expr), "text": reply.ok.payload.to_bytes()[:100].decode(), "size": len(reply.ok.payload.to_bytes())})
        else:
            out.append({"error": reply.err.payload.to_bytes().decode()})
    say(what="replies", replies=out)


mode, listen, connect = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
config = zenoh.Config()
settings = {
    "mode": mode,
    "scouting/multicast/enabled": False,
    "listen/endpoints": listen,
    "connect/endpoints": connect,
}
for pair in sys.argv[4:]:
    k, v = pair.split("=", 1)
    settings[k] = json.loads(v)
for k, v in settings.items():
    config.insert_json5(k, json.dumps(v))

things = {}
with zenoh.open(config) as session:
    say(what="open", zid=str(session.zid()))
    for line in sys.stdin:
        c = json.loads(line)
        do = c["do"]
        if do == "put":
            session.put(
                c["key"], bytes(i % 251 for i in range(c["size"])) if "size" in c else c["text"],
                encoding=c.get("encoding"), attachment=c.get("attachment"),
                congestion_control=zenoh.CongestionControl.BLOCK, priority=getattr(zenoh.Priority, c.get("priority", "DATA")),
                timestamp=session.new_timestamp() if c.get("stamp") else None,
            )
        elif do == "delete":
            session.delete(c["key"])
        elif do == "subscribe":
            things[c["id"]] = session.declare_subscriber(c["key"], lambda s, i=c["id"]: say(what="sample", id=i, **number(s)))
        elif do == "queryable":
            things[c["id"]] = queryable(c["key"], c.get("complete", False), c.get("texts", []), c.get("error"), c.get("stamp", False), c.get("pause", 0))
        elif do == "get":
            threading.Thread(target=get, args=(c["key"], c.get("target", "BEST_MATCHING"))).start()
        elif do == "token":
            things[c["id"]] = session.liveliness().declare_token(c["key"])
        elif do == "tokens":
            say(what="tokens", keys=sorted(str(r.ok.key_expr) for r in session.liveliness().get(c["key"]) if r.ok is not None))
        elif do == "watch":
            things[c["id"]] = session.liveliness().declare_subscriber(
                c["key"], lambda s, i=c["id"]: say(what="token", id=i, key=str(s.key_expr), kind=str(s.kind).split(".")[-1]), history=c.get("history", False))
        elif do == "undeclare":
            things.pop(c["id"]).undeclare()
        elif do == "publisher":
            things[c["id"]] = p = session.declare_publisher(c["key"], congestion_control=zenoh.CongestionControl.BLOCK)
            things[c["id"] + "/matching"] = p.declare_matching_listener(lambda m, i=c["id"]: say(what="matching", id=i, matching=m.matching))
        elif do == "querier":
            things[c["id"]] = p = session.declare_querier(c["key"])
            things[c["id"] + "/matching"] = p.declare_matching_listener(lambda m, i=c["id"]: say(what="matching", id=i, matching=m.matching))
        elif do == "publish":
            things[c["id"]].put(c["text"])
        elif do == "info":
            say(what="info", peers=sorted(str(z) for z in session.info.peers_zid()), routers=sorted(str(z) for z in session.info.routers_zid()))
        if mode == "client" and do in ("subscribe", "queryable", "token", "undeclare"):
            list(session.liveliness().get("nobody/has/this/token"))  # what was declared before is known to the router by now
        say(what="did", do=do)
