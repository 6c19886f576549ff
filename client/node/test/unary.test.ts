/* One document in one call, and what holds for every unary call: errors, deadlines, signals, retries. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { status } from "@grpc/grpc-js";

import { SentinovaClient } from "../src/client.js";
import { SentinovaError } from "../src/errors.js";
import { type AnalyzeSentimentRequest, LongTextPolicy } from "../src/gen/sentinova/v1/sentiment_service.js";
import { promised, rig } from "./client.js";
import { type Behavior, failure, result, TestServer } from "./server.js";

const answers: Behavior["analyzeSentiment"] = (_, answer) => answer(null, { id: "", result: result("positive") });

test("a result is given as plain values", async (t) => {
  const { client } = await rig(t, {
    analyzeSentiment: answers,
  });
  assert.deepEqual(await client.analyze("good"), {
    label: "positive",
    score: 0.75,
    scores: { positive: 0.75, other: 0.25 },
    model: "sentiment_en",
    version: 2,
    tokenCount: 7,
    truncated: false,
    timings: { tokenizationMs: 0, queueMs: 1500, inferenceMs: 0 },
  });
});

test("what is asked for is sent", async (t) => {
  const requests: AnalyzeSentimentRequest[] = [];
  const headers: Record<string, unknown>[] = [];
  const { client } = await rig(
    t,
    {
      analyzeSentiment: (call, answer) => {
        requests.push(call.request);
        headers.push(call.metadata.getMap());
        answer(null, { id: "", result: result("positive") });
      },
    },
    { metadata: { authorization: "Bearer secret" } },
  );
  await client.analyze("good \u{1F600}");
  await client.analyze("x", { model: "m", version: 3, longText: "truncate", priority: 2, routingKey: "user" });
  await client.analyze("x", { label: "canary" });

  assert.deepEqual(requests[0], {
    document: { id: "", text: "good \u{1F600}" },
    config: { model: "", versionChoice: undefined, longTextPolicy: LongTextPolicy.ERROR, priority: 0, routingKey: "" },
  });
  assert.deepEqual(requests[1]?.config, {
    model: "m",
    versionChoice: { $case: "version", value: 3 },
    longTextPolicy: LongTextPolicy.TRUNCATE,
    priority: 2,
    routingKey: "user",
  });
  assert.deepEqual(requests[2]?.config?.versionChoice, { $case: "label", value: "canary" });
  assert.equal(headers[0]?.["authorization"], "Bearer secret");
  assert.match(String(headers[0]?.["user-agent"]), /^sentinova-node\/\d/);
});

test("an error carries what the server says of it, and is not tried again", async (t) => {
  let calls = 0;
  const { client } = await rig(t, {
    analyzeSentiment: (_, answer) => {
      calls++;
      const details = { reason: "TEXT_EMPTY", field: "document.text", metadata: { a: "b" }, requestId: "r1" };
      answer(failure(status.INVALID_ARGUMENT, "document.text is empty", { ...details, retrySeconds: 1.25 }));
    },
  });
  const error = await client.analyze("x").catch((e: unknown) => e);
  assert(error instanceof SentinovaError);
  assert.equal(error.code, "INVALID_ARGUMENT");
  assert.equal(error.message, "document.text is empty");
  assert.equal(error.reason, "TEXT_EMPTY");
  assert.equal(error.field, "document.text");
  assert.deepEqual(error.fieldViolations, [{ field: "document.text", description: "document.text is empty" }]);
  assert.deepEqual(error.metadata, { a: "b" });
  assert.equal(error.retryAfterMs, 1250);
  assert.equal(error.requestId, "r1");
  assert.match(error.stack ?? "", /^SentinovaError: document.text is empty\n.*unary\.test/s);
  assert.equal(calls, 1);
});

test("overload is not tried again by the client", async (t) => {
  let calls = 0;
  const { client } = await rig(t, {
    analyzeSentiment: (_, answer) => {
      calls++;
      answer(failure(status.RESOURCE_EXHAUSTED, "full", { reason: "QUEUE_FULL", retrySeconds: 0.1 }));
    },
  });
  await assert.rejects(client.analyze("x"), { code: "RESOURCE_EXHAUSTED", reason: "QUEUE_FULL", retryAfterMs: 100 });
  assert.equal(calls, 1);
});

for (const code of [status.UNAVAILABLE, status.CANCELLED]) {
  test(`a call that a server ends with ${status[code]} is made again`, async (t) => {
    let calls = 0;
    const { client } = await rig(t, {
      analyzeSentiment: (_, answer) =>
        ++calls < 3 ? answer(failure(code, "not now")) : answer(null, { id: "", result: result("positive") }),
    });
    assert.equal((await client.analyze("x")).label, "positive");
    assert.equal(calls, 3);
  });
}

test("more interruptions than gRPC's five attempts are waited out", async (t) => {
  let calls = 0;
  const { client } = await rig(t, {
    analyzeSentiment: (_, answer) =>
      ++calls < 7
        ? answer(failure(status.UNAVAILABLE, "loading", { reason: "MODEL_LOADING" }))
        : answer(null, { id: "", result: result("positive") }),
  });
  await client.analyze("x", { timeoutMs: 60_000 });
  assert.equal(calls, 7);
});

test("retry: false gives the first failure", async (t) => {
  let calls = 0;
  const { client } = await rig(t, {
    analyzeSentiment: (_, answer) => {
      calls++;
      answer(failure(status.UNAVAILABLE, "loading", { reason: "MODEL_LOADING" }));
    },
  });
  await assert.rejects(client.analyze("x", { retry: false }), { code: "UNAVAILABLE", reason: "MODEL_LOADING" });
  assert.equal(calls, 1);
});

test("a server that comes within the deadline is waited for", async (t) => {
  const { server, client } = await rig(t, {});
  server.kill();
  const call = client.analyze("x", { timeoutMs: 60_000 });
  await assert.rejects(client.analyze("x", { retry: false }), { code: "UNAVAILABLE" });
  const late = await TestServer.start({ analyzeSentiment: answers }, server.port);
  t.after(() => late.kill());
  assert.equal((await call).label, "positive");
});

test("a call that a dying server drops is made again at its successor", async (t) => {
  const reached = promised();
  const { server, client } = await rig(t, { analyzeSentiment: () => reached.resolve() });
  const call = client.analyze("x", { timeoutMs: 60_000 });
  await reached.promise;
  server.kill();
  const next = await TestServer.start({ analyzeSentiment: answers }, server.port);
  t.after(() => next.kill());
  assert.equal((await call).label, "positive");
});

test("a deadline that passes before the server was reached says why it was not", async (t) => {
  const { server, client } = await rig(t, {});
  server.kill();
  const error = await client.analyze("x", { timeoutMs: 3_000 }).catch((e: unknown) => e);
  assert(error instanceof SentinovaError);
  assert.equal(error.code, "DEADLINE_EXCEEDED");
  assert.match(error.message, /3000 ms passed.*UNAVAILABLE.*ECONNREFUSED/);
  assert.equal((error.cause as SentinovaError).code, "UNAVAILABLE");
});

test("a deadline ends a call that is not answered", async (t) => {
  const ended = promised();
  const { client } = await rig(t, { analyzeSentiment: (call) => call.on("cancelled", () => ended.resolve()) });
  await assert.rejects(client.analyze("x", { timeoutMs: 200 }), { code: "DEADLINE_EXCEEDED" });
  await ended.promise;
});

test("the deadline travels to the server, and Infinity is none", async (t) => {
  const timeouts: unknown[] = [];
  const { client } = await rig(t, {
    analyzeSentiment: (call, answer) => {
      timeouts.push(call.getDeadline());
      answer(null, { id: "", result: result("positive") });
    },
  });
  await client.analyze("x");
  await client.analyze("x", { timeoutMs: Infinity });
  assert.notEqual(timeouts[0], Infinity);
  assert.equal(timeouts[1], Infinity);
});

test("a signal cancels a call at the server", async (t) => {
  const reached = promised();
  const ended = promised();
  const { client } = await rig(t, {
    analyzeSentiment: (call) => {
      call.on("cancelled", () => ended.resolve());
      reached.resolve();
    },
  });
  const controller = new AbortController();
  const call = client.analyze("x", { signal: controller.signal });
  await reached.promise;
  controller.abort("enough");
  await assert.rejects(call, { code: "CANCELLED", cause: "enough" });
  await ended.promise;
  await assert.rejects(client.analyze("x", { signal: controller.signal }), { code: "CANCELLED", cause: "enough" });
});

test("a signal ends the wait for a server", async (t) => {
  const { server, client } = await rig(t, {});
  server.kill();
  const controller = new AbortController();
  const call = client.analyze("x", { signal: controller.signal, timeoutMs: Infinity });
  setTimeout(() => controller.abort(), 50);
  await assert.rejects(call, { code: "CANCELLED" });
});

test("closing a client cancels its calls, and ends its use", async (t) => {
  const reached = promised();
  const { client } = await rig(t, { analyzeSentiment: () => reached.resolve() });
  const call = client.analyze("x");
  await reached.promise;
  client.close();
  client.close();
  await assert.rejects(call, { code: "CANCELLED", reason: "CLIENT_CLOSED" });
  await assert.rejects(client.analyze("x"), /the client is closed/);
});

test("a text that is no Unicode is refused, not altered", async (t) => {
  const { client } = await rig(t, {});
  await assert.rejects(client.analyze("half \uD83D"), { code: "INVALID_ARGUMENT", reason: "TEXT_NOT_UNICODE" });
});

test("what cannot be asked is refused before it is sent", async () => {
  const client = new SentinovaClient({ address: "127.0.0.1:1" });
  await assert.rejects(client.analyze("x", { version: 1, label: "a" }), TypeError);
  await assert.rejects(client.analyze("x", { version: 2 ** 53 }), RangeError);
  await assert.rejects(client.analyze("x", { version: 1.5 }), RangeError);
  await assert.rejects(client.analyze("x", { priority: -1 }), RangeError);
  await assert.rejects(client.analyze("x", { priority: 2 ** 32 }), RangeError);
  await assert.rejects(client.analyze("x", { longText: "cut" as "error" }), TypeError);
  await assert.rejects(client.analyze("x", { timeoutMs: 0 }), RangeError);
  await assert.rejects(client.analyze("x", { timeoutMs: NaN }), RangeError);
  await assert.rejects(client.analyze(7 as unknown as string), TypeError);
  client.close();
});
