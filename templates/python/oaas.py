"""A runtime for classes on oaas, with nothing but Python's standard library.

A method gets a Call. It may change call.state, a dict of the object's entries, and what it returns is the result. Only what changed is
sent back, and the platform commits all of it or nothing. docs/function-contract.md of oaas describes the exchange.
"""

import base64
import json
import os
import signal
import socketserver
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler

_methods = {}


class Failure(Exception):
    """Fails a call with an HTTP status and a message for the caller. Nothing changes."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def method(cls, name=None):
    """Makes a function a method of a class: @method("shop.cart") above def add(call)."""

    def register(fn):
        _methods[cls, name or fn.__name__] = fn
        return fn

    return register


class Call:
    """One call: what the caller sent, and the object that it is for."""

    def __init__(self, cls, name, object="", input=None, state=None, readonly=False):
        self.cls, self.name, self.object, self.readonly = cls, name, object, readonly
        self.input = input
        self.state = dict(state or {})
        self.result = None
        self.events = []

    @property
    def change(self):
        """What a trigger tells: the class, object and key that changed, and the new value."""
        try:
            info = self.input["event_info"]
            value = self.input["original_payload"]
            return {"class": info["source_cls_id"], "object": info["source_object_id"], "key": info["key"],
                    "value": None if value is None else _parse(base64.b64decode(value))}
        except (TypeError, KeyError) as error:
            raise Failure(400, "this is not what a trigger sends") from error

    def emit(self, type, data=None, subject=""):
        """Sends a CloudEvent with the commit of this call."""
        self.events.append({"type": type, "subject": subject, "data": {"json": data}})


def run(cls, name, input=None, state=None, **more):
    """Runs a method and gives the call with its result and the new state: for the platform, and for tests."""
    fn = _methods.get((cls, name))
    if fn is None:
        raise Failure(404, f"there is no method {name} of {cls} here")
    call = Call(cls, name, input=input, state=state, **more)
    call.result = fn(call)
    return call


def _parse(data):
    """Gives bytes as JSON, else as text, else as they are."""
    try:
        return json.loads(data)
    except ValueError:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data


def _data(value):
    """Gives the bytes of a value as it travels."""
    if value is None:
        return b""
    return value["text"].encode() if "text" in value else base64.b64decode(value["base64"])


def _value(value):
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return {"json": value}


def _exchange(doc):
    """Gives the reply to a call, both as they travel."""
    payload = _data(doc.get("payload"))
    entries = {key: _data(value) for key, value in doc["entries"].items()}
    call = run(doc["class"], doc["method"], _parse(payload) if payload else None, {key: _parse(data) for key, data in entries.items()},
               object=doc["object"], readonly=doc["readonly"])
    reply = {"set": {}, "delete": [key for key in entries if key not in call.state], "events": call.events}
    for key, value in call.state.items():
        if key not in entries or _value(value) != _value(_parse(entries[key])):
            reply["set"][key] = _value(value)
    if call.result is not None:
        reply["payload"] = _value(call.result)
    return reply


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.busy:
            if self.headers.get("Content-Type") != "application/vnd.oaas.call+json":
                return self.answer(415, {"error": {"code": "UNSUPPORTED_TYPE", "message": "this function takes application/vnd.oaas.call+json"}})
            try:
                self.answer(200, _exchange(json.loads(body)), "application/vnd.oaas.reply+json")
            except Failure as failure:
                self.answer(failure.status, {"error": {"code": "FAILED", "message": str(failure)}})
            except Exception as error:
                traceback.print_exc()
                self.answer(500, {"error": {"code": "EXCEPTION", "message": f"{type(error).__name__}: {error}"}})

    def answer(self, status, doc, content_type="application/json"):
        body = json.dumps(doc).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass


class _Busy:
    """Counts the calls that run, so that stopping can wait for them."""

    def __init__(self):
        self.running, self.changed = 0, threading.Condition()

    def __enter__(self):
        with self.changed:
            self.running += 1

    def __exit__(self, *_):
        with self.changed:
            self.running -= 1
            self.changed.notify_all()

    def wait(self, seconds):
        with self.changed:
            self.changed.wait_for(lambda: self.running == 0, seconds)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128
    busy = _Busy()


def serve():
    """Listens on $PORT until SIGTERM, then finishes the calls that run."""
    with _Server((os.environ.get("OAAS_HOST", ""), int(os.environ.get("PORT", "8080"))), _Handler) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        server.serve_forever(poll_interval=0.05)
        server.busy.wait(30)
    sys.stderr.flush()
