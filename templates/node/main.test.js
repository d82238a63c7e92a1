import assert from "node:assert/strict";
import { test } from "node:test";
import "./main.js"; // its methods
import { run } from "./oaas.js";

test("add", async () => {
  const call = await run("{{.Name}}.counter", "add", { input: { by: 2 }, state: { count: 3 } });
  assert.deepEqual(call.result, { count: 5 });
  assert.deepEqual(call.state, { count: 5 });
});

test("add one to a new counter", async () => {
  assert.deepEqual((await run("{{.Name}}.counter", "add")).state, { count: 1 });
});

test("below zero", async () => {
  await assert.rejects(run("{{.Name}}.counter", "add", { input: { by: -1 } }), { status: 409 });
});

test("get", async () => {
  assert.deepEqual((await run("{{.Name}}.counter", "get", { state: { count: 3 } })).result, { count: 3 });
});

test("record", async () => {
  const change = {
    event_info: { source_cls_id: "{{.Name}}.counter", source_object_id: "c1", key: "count" },
    original_payload: Buffer.from("6").toString("base64"),
  };
  const call = await run("{{.Name}}.audit", "record", { input: change, state: { changes: 1, last: 5 } });
  assert.deepEqual(call.state, { changes: 2, last: 6 });
});
