"""A counter, written from docs/function-contract.md with nothing but Python's standard library."""

import base64
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def data(value):
    """Gives the bytes of a value."""
    if value is None:
        return b""
    return value["text"].encode() if "text" in value else base64.b64decode(value["base64"])


def add(count, payload):
    count += json.loads(payload or b"{}").get("by", 1)
    if count < 0:
        raise ValueError("the count cannot go below zero")
    return {"payload": {"json": {"count": count}}, "set": {"count": {"text": str(count)}}}


def get(count, payload):
    return {"payload": {"json": {"count": count}}}


class Function(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        count = int(data(call["entries"].get("count")) or 0)
        method = {"add": add, "get": get}.get(call["method"])
        if method is None:
            return self.answer(404, {"error": {"code": "NO_FUNCTION", "message": f"no method {call['method']}"}})
        try:
            self.answer(200, method(count, data(call.get("payload"))), "application/vnd.oaas.reply+json")
        except (ValueError, TypeError, AttributeError) as error:
            self.answer(400, {"error": {"code": "INVALID_ARGUMENT", "message": str(error)}})

    def answer(self, status, body, content_type="application/json"):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer((os.environ.get("OAAS_HOST", ""), int(os.environ["PORT"])), Function).serve_forever()
