"""Records what the native implementation of Zenoh says, for the tests of the codec. See README.md.

A session in mode router listens in one process. Other sessions, in the process of this script, reach it through a recorder that writes down each
batch of one of them. Every scenario becomes a file: lines with > went to the router, lines with < came from it, in hexadecimal and without the
length prefix of TCP.
"""

import json
import multiprocessing
import pathlib
import socket
import struct
import threading
import time
from importlib.metadata import version

import zenoh

HERE = pathlib.Path(__file__).parent


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def open_session(mode, connect=None, listen=None, **more):
    config = zenoh.Config()
    values = {
        "mode": mode,
        "scouting/multicast/enabled": False,
        "connect/endpoints": [f"tcp/127.0.0.1:{connect}"] if connect else [],
        "listen/endpoints": [f"tcp/127.0.0.1:{listen}"] if listen else [],
        "transport/shared_memory/enabled": False,
        **more,
    }
    for key, value in values.items():
        config.insert_json5(key, json.dumps(value))
    return zenoh.open(config)


def run_router(port, more, ready, done):
    session = open_session("router", listen=port, **more)
    ready.set()
    done.wait()
    session.close()


class Recorder:
    """A TCP proxy that keeps the batches of each direction in the order in which they passed."""

    def __init__(self, target):
        self.batches, self.target, self.lock = [], target, threading.Lock()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.server.accept()
            far = socket.create_connection(("127.0.0.1", self.target))
            for a, b, mark in ((near, far, ">"), (far, near, "<")):
                threading.Thread(target=self.pump, args=(a, b, mark), daemon=True).start()

    def pump(self, source, target, mark):
        buffer = b""
        try:
            while data := source.recv(1 << 16):
                buffer += data
                while len(buffer) >= 2 and len(buffer) >= 2 + (n := struct.unpack_from("<H", buffer)[0]):
                    with self.lock:
                        self.batches.append((mark, buffer[2 : 2 + n]))
                    buffer = buffer[2 + n :]
                target.sendall(data)
        except OSError:
            pass
        target.close()


def settle():
    time.sleep(0.4)


def publish(session, other):
    sub = other.declare_subscriber("demo/**", lambda _: None)
    settle()
    info = zenoh.SourceInfo(other.declare_publisher("x").id, 7) if hasattr(zenoh, "SourceInfo") else None
    session.put("demo/a", b"hi")
    session.put("demo/a", "text", encoding=zenoh.Encoding.TEXT_PLAIN)
    session.put("demo/b", "{}", encoding="application/json;v1", attachment=b"at")
    session.put("demo/c", b"\x00" * 300, timestamp=session.new_timestamp())
    session.put("demo/d", b"now", express=True, priority=zenoh.Priority.REAL_TIME, congestion_control=zenoh.CongestionControl.BLOCK)
    session.put("demo/e", b"", encoding="text/unheard-of", priority=zenoh.Priority.BACKGROUND)
    if info is not None:
        session.put("demo/f", b"from", source_info=info)
    session.delete("demo/a", attachment=b"why")
    settle()
    sub.undeclare()


def subscribe(session, other):
    sub = session.declare_subscriber("demo/example/**", lambda _: None)
    settle()
    other.put("demo/example/a", b"one", attachment=b"at")
    other.put("demo/example/b", b"two", encoding="text/plain;utf8")
    other.delete("demo/example/b")
    settle()
    sub.undeclare()
    settle()


def ask(session, other):
    def answer(query):
        with query:
            query.reply("demo/q", b"hello", encoding=zenoh.Encoding.TEXT_PLAIN, attachment=b"r", timestamp=other.new_timestamp())
            query.reply_del("demo/q")
            query.reply_err(b"oops", encoding=zenoh.Encoding.ZENOH_STRING)

    qabl = other.declare_queryable("demo/q", answer, complete=True)
    settle()
    list(session.get("demo/**"))
    list(session.get("demo/q?a=1;b=2", target=zenoh.QueryTarget.ALL, payload=b"{}", encoding="text/plain", attachment=b"qa", timeout=1.5))
    list(session.get("demo/q", target=zenoh.QueryTarget.ALL_COMPLETE, consolidation=zenoh.ConsolidationMode.NONE))
    list(session.get("nothing/there", consolidation=zenoh.ConsolidationMode.MONOTONIC))
    qabl.undeclare()


def answer(session, other):
    def reply(query):
        with query:
            query.reply("demo/q/1", b"hello", attachment=b"r")
            query.reply_err(b"oops")

    qabl = session.declare_queryable("demo/q/*", reply, complete=True)
    plain = session.declare_queryable("demo/p", reply)
    settle()
    list(other.get("demo/q/**?x=y", payload=b"body", attachment=b"qa"))
    qabl.undeclare()
    plain.undeclare()
    settle()


def liveliness(session, other):
    token = session.liveliness().declare_token("group/me")
    sub = session.liveliness().declare_subscriber("group/**", lambda _: None, history=True)
    late = session.liveliness().declare_subscriber("group/*", lambda _: None)
    theirs = other.liveliness().declare_token("group/you")
    settle()
    list(session.liveliness().get("group/**"))
    theirs.undeclare()
    settle()
    token.undeclare()
    sub.undeclare()
    late.undeclare()
    settle()


def match(session, other):
    pub = session.declare_publisher("demo/m")
    querier = session.declare_querier("demo/mq")
    settle()
    sub = other.declare_subscriber("demo/**", lambda _: None)
    qabl = other.declare_queryable("demo/mq", lambda q: q.drop(), complete=True)
    settle()
    pub.put(b"x")
    sub.undeclare()
    qabl.undeclare()
    settle()
    pub.undeclare()
    querier.undeclare()
    settle()


def fragments(session, other):
    sub = other.declare_subscriber("big", lambda _: None)
    settle()
    session.put("big", bytes(i % 251 for i in range(3000)), congestion_control=zenoh.CongestionControl.BLOCK)
    settle()
    sub.undeclare()


def nothing(session, other):
    settle()
    time.sleep(1)


USER = {"transport/auth/usrpwd/user": "alice", "transport/auth/usrpwd/password": "secret"}

SCENARIOS = [
    ("publish", "a client publishes, deletes and closes", publish, "client", {}, {}),
    ("subscribe", "a client subscribes, and receives what another publishes", subscribe, "client", {}, {}),
    ("ask", "a client sends queries", ask, "client", {}, {}),
    ("answer", "a client has queryables", answer, "client", {}, {}),
    ("liveliness", "a client has a token, asks for tokens and watches them", liveliness, "client", {}, {}),
    ("match", "a client has a publisher and a querier that watch for matches", match, "client", {}, {}),
    ("fragments", "a client with batches of 1,024 bytes publishes 3,000 bytes", fragments, "client", {"transport/link/tx/batch_size": 1024}, {}),
    ("noqos", "as publish, without priority lanes", publish, "client", {"transport/unicast/qos/enabled": False}, {}),
    ("auth", "a client says its user name and password, and keeps alive", nothing, "client", {**USER, "transport/link/tx/lease": 1000}, USER),
    ("peer", "a peer subscribes at a router, with gossip", subscribe, "peer", {}, {}),
]


def capture(name, title, scenario, mode, own, routers):
    port, ready, done = free_port(), multiprocessing.Event(), multiprocessing.Event()
    if routers:
        passwords = HERE / "passwords.tmp"
        passwords.write_text("alice:secret\n")
        routers = {**routers, "transport/auth/usrpwd/dictionary_file": str(passwords)}
    process = multiprocessing.Process(target=run_router, args=(port, routers, ready, done))
    process.start()
    ready.wait(10)
    recorder = Recorder(port)
    credentials = {k: v for k, v in own.items() if "usrpwd" in k}
    other = open_session("client", connect=port, **credentials)
    session = open_session(mode, connect=recorder.port, **own)
    settle()
    scenario(session, other)
    settle()
    session.close()
    settle()
    other.close()
    done.set()
    process.join()
    if routers:
        passwords.unlink()
    with open(HERE / f"{name}.hex", "w") as out:
        out.write(f"# {title}\n# eclipse-zenoh {version('eclipse-zenoh')}, capture.py\n")
        for mark, batch in recorder.batches:
            out.write(f"{mark} {batch.hex()}\n")


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    for row in SCENARIOS:
        capture(*row)
        print(row[0])
