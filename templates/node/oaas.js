// A runtime for classes on oaas, with nothing but Node's standard library.
//
// A method gets a call. It may change call.state, an object with the entries, and what it returns is the result. Only what changed is sent
// back, and the platform commits all of it or nothing. docs/function-contract.md of oaas describes the exchange.

import { createServer } from "node:http";

const methods = new Map();

/** Fails a call with an HTTP status and a message for the caller. Nothing changes. */
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Makes a function a method of a class: method("shop.cart", "add", (call) => …). It may be async. */
export function method(cls, name, fn) {
  methods.set(`${cls}/${name}`, fn);
}

/** One call: what the caller sent, and the object that it is for. */
class Call {
  constructor(cls, name, { object = "", input, state = {}, readonly = false } = {}) {
    Object.assign(this, { cls, name, object, input, readonly, state: { ...state }, events: [], result: undefined });
  }

  /** What a trigger tells: the class, object and key that changed, and the new value. */
  get change() {
    const { event_info: info, original_payload: value } = this.input ?? {};
    if (!info) throw new Failure(400, "this is not what a trigger sends");
    return {
      class: info.source_cls_id,
      object: info.source_object_id,
      key: info.key,
      value: value == null ? null : parse(Buffer.from(value, "base64")),
    };
  }

  /** Sends a CloudEvent with the commit of this call. */
  emit(type, data = null, subject = "") {
    this.events.push({ type, subject, data: { json: data } });
  }
}

/** Runs a method and gives the call with its result and the new state: for the platform, and for tests. */
export async function run(cls, name, options) {
  const fn = methods.get(`${cls}/${name}`);
  if (!fn) throw new Failure(404, `there is no method ${name} of ${cls} here`);
  const call = new Call(cls, name, options);
  call.result = await fn(call);
  return call;
}

/** Gives bytes as JSON, else as text, else as they are. */
function parse(data) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  } catch {
    return data;
  }
}

/** Gives the bytes of a value as it travels. */
function bytes(value) {
  return value.text !== undefined ? Buffer.from(value.text) : Buffer.from(value.base64, "base64");
}

function encode(value) {
  return Buffer.isBuffer(value) ? { base64: value.toString("base64") } : { json: value };
}

/** Gives the reply to a call, both as they travel. */
async function exchange(doc) {
  const before = new Map(Object.entries(doc.entries).map(([key, value]) => [key, bytes(value)]));
  const state = Object.fromEntries([...before].map(([key, data]) => [key, parse(data)]));
  const input = doc.payload ? parse(bytes(doc.payload)) : undefined;
  const call = await run(doc.class, doc.method, { object: doc.object, input, state, readonly: doc.readonly });

  const reply = { set: {}, delete: [], events: call.events };
  for (const key of before.keys()) {
    if (call.state[key] === undefined) reply.delete.push(key);
  }
  for (const [key, value] of Object.entries(call.state)) {
    if (value === undefined) continue;
    const now = encode(value);
    const unchanged = before.has(key) && JSON.stringify(now) === JSON.stringify(encode(parse(before.get(key))));
    if (!unchanged) reply.set[key] = now;
  }
  if (call.result !== undefined) reply.payload = encode(call.result);
  return reply;
}

async function handle(request, response) {
  const answer = (status, doc, type = "application/json") => {
    const body = Buffer.from(JSON.stringify(doc));
    response.writeHead(status, { "Content-Type": type, "Content-Length": body.length }).end(body);
  };
  try {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.headers["content-type"] !== "application/vnd.oaas.call+json") {
      throw new Failure(415, "this function takes application/vnd.oaas.call+json");
    }
    answer(200, await exchange(JSON.parse(Buffer.concat(chunks))), "application/vnd.oaas.reply+json");
  } catch (error) {
    const known = error instanceof Failure;
    if (!known) console.error(error);
    answer(known ? error.status : 500, { error: { code: known ? "FAILED" : "EXCEPTION", message: String(error.message) } });
  }
}

/** Listens on $PORT until SIGTERM, then finishes the calls that run. */
export function serve() {
  const server = createServer(handle);
  server.keepAliveTimeout = 120_000; // longer than the platform keeps idle connections
  server.listen(Number(process.env.PORT ?? 8080), process.env.OAAS_HOST);
  for (const name of ["SIGTERM", "SIGINT"]) {
    process.on(name, () => {
      server.close();
      server.closeIdleConnections();
    });
  }
}
