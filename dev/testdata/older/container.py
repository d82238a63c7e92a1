"""A function container as the released Python SDK makes one: messages of the older generation, written by hand, and data calls by numbers."""
import os
from concurrent import futures

import grpc


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    return varint(number << 3 | 2) + varint(len(value)) + value


def read(data):
    """The fields of a message, the last of each number."""
    fields, at = {}, 0

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n

    while at < len(data):
        key = number()
        value = number()
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        fields[key >> 3] = value
    return fields


platform = grpc.insecure_channel(os.environ["OAAS_URL"].removeprefix("http://"))


def data_call(method, request):
    return platform.unary_unary("/oprc.DataService/" + method)(request)


def add(request, context):
    r = read(request)
    identity = field(1, r[3]) + field(2, r.get(1, 0)) + field(3, r.get(2, 0))
    if r[4] == b"fail":
        return field(1, b'{"error_type":"ValueError"}') + field(2, 2)
    value = read(data_call("GetValue", identity + field(4, 1))).get(1, b"")
    total = int(read(value).get(1, b"0")) + int(r.get(6, b"1"))
    data_call("SetValue", identity + field(4, 1) + field(5, field(1, str(total).encode())))
    return field(1, str(total).encode())


def echo(request, context):
    return field(1, read(request).get(6, b""))


server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("oprc.OprcFunction", {
    "InvokeObj": grpc.unary_unary_rpc_method_handler(add),
    "InvokeFn": grpc.unary_unary_rpc_method_handler(echo),
})])
server.add_insecure_port("127.0.0.1:" + os.environ["HTTP_PORT"])
server.start()
server.wait_for_termination()
