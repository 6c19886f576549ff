/* Errors out of what travels on the wire. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Metadata, type ServiceError, status } from "@grpc/grpc-js";

import { textFault } from "../src/conversion.js";
import { errorFromCall, errorFromStatus } from "../src/status.js";
import { failure, statusOf } from "./server.js";

function failed(details: string, content?: Buffer): ServiceError {
  const error = failure(status.UNAVAILABLE, details) as ServiceError;
  if (content !== undefined) {
    error.metadata.set("grpc-status-details-bin", content);
  }
  return error;
}

test("a failure without details has its code and message", () => {
  const error = errorFromCall(failed("away"));
  const { code, message, reason, field, metadata, retryAfterMs, requestId } = error;
  assert.deepEqual([code, message], ["UNAVAILABLE", "away"]);
  assert.deepEqual(
    [reason, field, metadata, retryAfterMs, requestId],
    [undefined, undefined, {}, undefined, undefined],
  );
  assert.equal(errorFromCall(failed("")).message, "the server gave no reason");
  assert.equal(errorFromCall(failed("Last error: x. Resolution note: ")).message, "Last error: x");
});

test("damaged details do not hide the failure", () => {
  assert.equal(errorFromCall(failed("away", Buffer.from([0xff]))).message, "away");
  const content = statusOf(status.NOT_FOUND, "none", { reason: "MODEL_NOT_FOUND", field: "f" });
  content.details[0]!.value = Buffer.from([0xff, 0xff]);
  const error = errorFromStatus(content);
  assert.deepEqual([error.code, error.reason, error.field], ["NOT_FOUND", undefined, "f"]);
});

test("details of unknown kinds, and codes, are passed over", () => {
  const content = statusOf(99 as status, "odd", { reason: "NEW_REASON" });
  content.details.unshift({ typeUrl: "type.googleapis.com/google.rpc.Help", value: Buffer.from([1, 2]) });
  const error = errorFromStatus(content);
  assert.deepEqual([error.code, error.reason], ["UNKNOWN", "NEW_REASON"]);
  const bare = Object.assign(new Error("x"), { code: status.OK, details: "x", metadata: new Metadata() });
  assert.equal(errorFromCall(bare).code, "UNKNOWN");
});

test("halves of surrogate pairs are found, and whole ones are not", () => {
  for (const text of ["", "plain", "\u{1F600}", "a\u0000\uFFFF"]) {
    assert.equal(textFault(text), undefined);
  }
  for (const text of ["\uD83D", "a\uDE00", "\uD83D\uD83D\uDE00"]) {
    assert.equal(textFault(text)?.reason, "TEXT_NOT_UNICODE");
  }
  assert.match(textFault("ab\uD83D")?.message ?? "", /at 2 it has U\+D83D/);
});
