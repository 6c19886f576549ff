/* A list of documents in one call. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { status } from "@grpc/grpc-js";

import type { DocumentResult } from "../src/gen/sentinova/v1/sentiment_service.js";
import { rig } from "./client.js";
import { type Behavior, failure, result, statusOf } from "./server.js";

/** Answers "good" and refuses empty texts. */
const answers: Behavior["batchAnalyzeSentiment"] = (call, answer) => {
  const results = call.request.documents.map(({ id, text }, index): DocumentResult => {
    const error = statusOf(status.INVALID_ARGUMENT, "empty", {
      reason: "TEXT_EMPTY",
      field: `documents[${index}].text`,
    });
    return { id, outcome: text === "" ? { $case: "error", value: error } : { $case: "result", value: result(text) } };
  });
  answer(null, { results });
};

test("a bad document fails alone", async (t) => {
  const { client } = await rig(t, { batchAnalyzeSentiment: answers });
  const [first, second, third] = await client.analyzeBatch([
    "good",
    { id: "mine", text: "" },
    { id: "x", text: "bad" },
  ]);
  assert.deepEqual([first?.index, first?.id, first?.result?.label, first?.error], [0, "0", "good", undefined]);
  assert.deepEqual([second?.index, second?.id, second?.result], [1, "mine", undefined]);
  assert.deepEqual([second?.error?.reason, second?.error?.field], ["TEXT_EMPTY", "documents[1].text"]);
  assert.deepEqual([third?.id, third?.result?.label], ["x", "bad"]);
});

test("a text that cannot be sent keeps its place", async (t) => {
  const { client } = await rig(t, { batchAnalyzeSentiment: answers });
  const all = await client.analyzeBatch(["a", "\uDE00", "b"]);
  assert.deepEqual(
    all.map(({ result, error }) => result?.label ?? error?.reason),
    ["a", "TEXT_NOT_UNICODE", "b"],
  );
});

test("nothing to ask needs no call", async (t) => {
  const { client } = await rig(t, {}); // would answer UNIMPLEMENTED
  assert.deepEqual(await client.analyzeBatch([]), []);
  assert.equal((await client.analyzeBatch(["\uD800"]))[0]?.error?.reason, "TEXT_NOT_UNICODE");
});

test("a call that fails as a whole rejects", async (t) => {
  const { client } = await rig(t, {
    batchAnalyzeSentiment: (_, answer) => answer(failure(status.NOT_FOUND, "none", { reason: "MODEL_NOT_FOUND" })),
  });
  await assert.rejects(client.analyzeBatch(["a"]), { code: "NOT_FOUND", reason: "MODEL_NOT_FOUND" });
});

test("a wrong number of answers is an error", async (t) => {
  const { client } = await rig(t, { batchAnalyzeSentiment: (_, answer) => answer(null, { results: [] }) });
  await assert.rejects(client.analyzeBatch(["a"]), { code: "INTERNAL", reason: "UNEXPECTED_ANSWER" });
});

test("answers beyond gRPC's usual 4 MiB are read, up to the client's limit", async (t) => {
  const results = [{ id: "0", outcome: { $case: "result" as const, value: result("x".repeat(5 << 20)) } }];
  const behavior: Behavior = { batchAnalyzeSentiment: (_, answer) => answer(null, { results }) };
  const { client } = await rig(t, behavior);
  assert.equal((await client.analyzeBatch(["a"]))[0]?.result?.label.length, 5 << 20);
  const { client: narrow } = await rig(t, behavior, { maxMessageBytes: 1 << 20 });
  await assert.rejects(narrow.analyzeBatch(["a"]), { code: "RESOURCE_EXHAUSTED" });
});

test("one document is no list", async (t) => {
  const { client } = await rig(t, {});
  await assert.rejects(client.analyzeBatch("good"), TypeError);
  await assert.rejects(client.analyzeBatch([7] as never), TypeError);
});
