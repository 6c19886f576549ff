/* Which failures pass, and how long is waited for them. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { SentinovaClient } from "../src/client.js";
import { type ErrorDetails, SentinovaError, STATUS_CODES, type StatusCode } from "../src/errors.js";
import { Backoff, isInterruption, within } from "../src/retry.js";
import { rig } from "./client.js";

function failed(code: StatusCode, message = "x", details?: ErrorDetails): SentinovaError {
  return new SentinovaError(code, message, details);
}

test("only what passes by itself is an interruption", () => {
  const passing = STATUS_CODES.filter((code): code is StatusCode => code !== "OK" && isInterruption(failed(code)));
  assert.deepEqual(passing, ["CANCELLED", "UNAVAILABLE"]);
  assert(isInterruption(failed("INTERNAL", "Received RST_STREAM with code 2 (Internal server error)")));
  assert(!isInterruption(failed("INTERNAL", "Received RST_STREAM", { reason: "INTERNAL" })));
  assert(
    !isInterruption(failed("UNAVAILABLE", "No connection established. Last error: Error: self-signed certificate")),
  );
  assert(isInterruption(failed("UNAVAILABLE", "no certificate yet", { reason: "MODEL_LOADING" })));
});

test("waits grow to their limit, with jitter, and begin anew", () => {
  for (let round = 0; round < 200; round++) {
    const backoff = new Backoff();
    for (const mean of [200, 400, 800, 1600, 2000, 2000]) {
      const wait = backoff.next(undefined);
      assert(wait >= 0.8 * mean && wait <= 1.2 * mean, `${wait} for ${mean}`);
    }
    backoff.reset();
    assert(backoff.next(undefined) <= 240);
  }
});

test("a wait is what the server asks for, where that is longer, within reason", () => {
  assert.equal(new Backoff().next(failed("UNAVAILABLE", "x", { retryAfterMs: 1500 })), 1500);
  assert.equal(new Backoff().next(failed("UNAVAILABLE", "x", { retryAfterMs: 3_600_000 })), 5000);
  assert(new Backoff().next(failed("UNAVAILABLE", "x", { retryAfterMs: 1 })) >= 160);
});

test("towards the deadline waits leave time for another attempt", () => {
  assert.equal(within(2000, Infinity), 2000);
  assert.equal(within(2000, 10_000), 2000);
  assert.equal(within(2000, 3000), 1500);
  assert.equal(within(2000, 300), 300);
  assert.equal(within(200, 300), 200);
});

test("a server that is not the one that was meant is not waited for", async (t) => {
  const { server } = await rig(t, {});
  const client = new SentinovaClient({ address: server.address, tls: true, timeoutMs: Infinity });
  t.after(() => client.close());
  await assert.rejects(client.analyze("x"), { code: "UNAVAILABLE", message: /wrong version number/ });
  await assert.rejects(
    async () => {
      for await (const answer of client.stream(["x"])) {
        assert.fail(`answered ${answer.id}`);
      }
    },
    { code: "UNAVAILABLE", message: /wrong version number/ },
  );
});
