/* Models, watches of them, and health. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { status } from "@grpc/grpc-js";

import {
  Model,
  ModelEventKind,
  ModelVersionState,
  WatchModelsResponse,
} from "../src/gen/sentinova/v1/model_service.js";
import { collect, promised, rig } from "./client.js";
import { type Behavior, failure, TestServer } from "./server.js";

const TIME = new Date("2026-01-02T03:04:05.678Z");

const MODEL = Model.fromPartial({
  name: "sentiment_en",
  backend: "openvino",
  defaultVersion: 2,
  versions: [
    {
      version: 2,
      state: ModelVersionState.AVAILABLE,
      stateTime: TIME,
      inputs: [{ name: "input_ids", datatype: "INT64", shape: [-1, -1] }],
      labels: ["negative", "positive"],
      maxTokens: 512,
      memoryBytes: 90_000_000_000,
      versionLabels: ["stable"],
      weight: 90,
    },
    { version: 3, state: 17 as ModelVersionState, stateMessage: "new" },
  ],
  weights: [{ versionChoice: { $case: "version", value: 2 }, percent: 90 }],
  comparisons: [{ version: 3, baseline: 2, documents: 10, agreed: 9, meanDistance: 0.5 }],
  loaded: true,
});

function event(kind: ModelEventKind, version = 0, state = ModelVersionState.UNSPECIFIED): WatchModelsResponse {
  return WatchModelsResponse.fromPartial({ kind, model: version === 0 ? "" : "m", version, state });
}

const STATE = [event(ModelEventKind.INITIAL, 1, ModelVersionState.AVAILABLE), event(ModelEventKind.SYNCED)];

test("models are listed page by page", async (t) => {
  const tokens: string[] = [];
  const { client } = await rig(t, {
    listModels: (call, answer) => {
      tokens.push(call.request.pageToken);
      const first = call.request.pageToken === "";
      answer(null, { models: [first ? MODEL : Model.create({ name: "b" })], nextPageToken: first ? "next" : "" });
    },
  });
  const models = await client.listModels();
  assert.deepEqual(tokens, ["", "next"]);
  assert.deepEqual(
    models.map(({ name, defaultVersion, loaded }) => [name, defaultVersion, loaded]),
    [
      ["sentiment_en", 2, true],
      ["b", undefined, false],
    ],
  );
});

test("a model is given as plain values", async (t) => {
  const { client } = await rig(t, {
    getModel: (call, answer) =>
      call.request.name === MODEL.name
        ? answer(null, { model: MODEL })
        : answer(failure(status.NOT_FOUND, "none", { reason: "MODEL_NOT_FOUND", metadata: { model: "x" } })),
  });
  const { versions, weights, shadowVersion, comparisons } = await client.getModel("sentiment_en");
  assert.deepEqual(versions[0], {
    version: 2,
    state: "AVAILABLE",
    stateMessage: "",
    stateTime: TIME,
    inputs: [{ name: "input_ids", datatype: "INT64", shape: [-1, -1] }],
    outputs: [],
    labels: ["negative", "positive"],
    maxTokens: 512,
    format: "",
    precision: "",
    memoryBytes: 90_000_000_000,
    versionLabels: ["stable"],
    weight: 90,
  });
  assert.deepEqual(
    [versions[1]?.state, versions[1]?.stateMessage, versions[1]?.stateTime],
    ["UNKNOWN", "new", undefined],
  );
  assert.deepEqual([weights, shadowVersion], [[{ version: 2, percent: 90 }], undefined]);
  assert.deepEqual([comparisons[0]?.agreed, comparisons[0]?.meanDistance, comparisons[0]?.live], [9, 0.5, false]);
  await assert.rejects(client.getModel("x"), { reason: "MODEL_NOT_FOUND", metadata: { model: "x" } });
});

test("a version number that JavaScript cannot hold is an error, not another number", async (t) => {
  const { client } = await rig(t, {
    getModel: (_, answer) => answer(null, { model: Model.create({ name: "m", defaultVersion: 2 ** 60 }) }),
  });
  await assert.rejects(client.getModel("m"), { code: "INTERNAL", message: /MAX_SAFE_INTEGER/ });
});

test("a watch tells what is so and what changes, and leaving it cancels it", async (t) => {
  const ended = promised();
  const { client } = await rig(t, {
    watchModels: (call) => {
      assert.deepEqual(call.request.names, ["m"]);
      call.on("cancelled", () => ended.resolve());
      STATE.forEach((each) => call.write(each));
      call.write(event(ModelEventKind.STATE, 2, ModelVersionState.LOADING));
    },
  });
  const told: unknown[] = [];
  for await (const { kind, model, version, state } of client.watchModels({ models: ["m"] })) {
    told.push([kind, model, version, state]);
    if (kind === "STATE") {
      break;
    }
  }
  assert.deepEqual(told, [
    ["INITIAL", "m", 1, "AVAILABLE"],
    ["SYNCED", "", undefined, undefined],
    ["STATE", "m", 2, "LOADING"],
  ]);
  await ended.promise;
});

for (const [name, end] of [
  ["ended by the server", undefined],
  ["cut off as too slow", failure(status.ABORTED, "slow", { reason: "WATCH_TOO_SLOW" })],
  ["interrupted", failure(status.UNAVAILABLE, "away")],
] as const) {
  test(`a watch that is ${name} goes on with another`, async (t) => {
    let watches = 0;
    const { client } = await rig(t, {
      watchModels: (call) => {
        if (++watches === 3) {
          STATE.forEach((each) => call.write(each));
        } else if (end === undefined) {
          call.end();
        } else {
          call.emit("error", end);
        }
      },
    });
    for await (const { kind } of client.watchModels()) {
      if (kind === "SYNCED") {
        break;
      }
    }
    assert.equal(watches, 3);
  });
}

test("a watch survives a server that is killed", async (t) => {
  const behavior: Behavior = { watchModels: (call) => STATE.forEach((each) => call.write(each)) };
  const { server, client } = await rig(t, behavior);
  let synced = 0;
  for await (const { kind } of client.watchModels()) {
    if (kind !== "SYNCED") {
      continue;
    }
    if (++synced === 2) {
      break;
    }
    server.kill();
    const next = await TestServer.start(behavior, server.port);
    t.after(() => next.kill());
  }
  assert.equal(synced, 2);
});

test("a watch without retries ends with the server's end, or throws its error", async (t) => {
  const { client } = await rig(t, {
    watchModels: (call) => {
      STATE.forEach((each) => call.write(each));
      call.end();
    },
  });
  assert.equal((await collect(client.watchModels({ retry: false }))).length, 2);
  const { client: refused } = await rig(t, {
    watchModels: (call) => call.emit("error", failure(status.UNAVAILABLE, "away")),
  });
  await assert.rejects(collect(refused.watchModels({ retry: false })), { code: "UNAVAILABLE" });
});

test("a watch does not go on after an error that will not pass, a signal or its deadline", async (t) => {
  let watches = 0;
  const { client } = await rig(t, {
    watchModels: (call) => {
      watches++;
      call.emit("error", failure(status.PERMISSION_DENIED, "no"));
    },
  });
  await assert.rejects(collect(client.watchModels()), { code: "PERMISSION_DENIED" });
  assert.equal(watches, 1);
  const { client: open } = await rig(t, { watchModels: () => {} });
  await assert.rejects(collect(open.watchModels({ signal: AbortSignal.timeout(50) })), { code: "CANCELLED" });
  await assert.rejects(collect(open.watchModels({ timeoutMs: 100 })), { code: "DEADLINE_EXCEEDED" });
});

test("health is told by the standard service", async (t) => {
  const { client } = await rig(t, {
    check: (call, answer) => {
      if (call.request.service === "nobody") {
        answer(failure(status.NOT_FOUND, ""));
      } else {
        answer(null, { status: call.request.service === "" ? "SERVING" : "NOT_SERVING" });
      }
    },
  });
  assert.equal(await client.health(), "SERVING");
  assert.equal(await client.health("sentiment_en"), "NOT_SERVING");
  assert.equal(await client.health("nobody"), "SERVICE_UNKNOWN");
});

test("health does not wait for a server unless it is told to", async (t) => {
  const { server, client } = await rig(t, {});
  server.kill();
  await assert.rejects(client.health(), { code: "UNAVAILABLE" });
  const check = client.health("", { retry: true, timeoutMs: 60_000 });
  const late = await TestServer.start({ check: (_, answer) => answer(null, { status: "SERVING" }) }, server.port);
  t.after(() => late.kill());
  assert.equal(await check, "SERVING");
});

test("a server is waited for until it takes requests", async (t) => {
  let checks = 0;
  const { client } = await rig(t, {
    check: (_, answer) => answer(null, { status: ++checks < 3 ? "NOT_SERVING" : "SERVING" }),
  });
  await client.waitUntilReady();
  assert.equal(checks, 3);
  const { client: never } = await rig(t, { check: (_, answer) => answer(null, { status: "NOT_SERVING" }) });
  await assert.rejects(never.waitUntilReady({ timeoutMs: 3_000 }), {
    code: "DEADLINE_EXCEEDED",
    message: /the server is NOT_SERVING/,
  });
});
