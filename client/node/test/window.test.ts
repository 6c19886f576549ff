/* The window of unanswered documents, on a clock of the test's own. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { sentimentOf } from "../src/conversion.js";
import { SentinovaError } from "../src/errors.js";
import { Window } from "../src/window.js";
import { result } from "./server.js";

const OUTCOME = sentimentOf(result("positive"));

/** Gives the numbers below `count`, in an order that depends on the seed. */
function shuffled(count: number, seed: number): number[] {
  const numbers = Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last--) {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    const other = seed % (last + 1);
    [numbers[last], numbers[other]] = [numbers[other]!, numbers[last]!];
  }
  return numbers;
}

test("in any order of answers, each document is handed out once", () => {
  for (let seed = 0; seed < 50; seed++) {
    for (const ordered of [false, true]) {
      const window = new Window(1000, ordered, () => 0);
      for (let index = 0; index < 20; index++) {
        assert.equal(window.admit({ id: `d${index}`, text: String(index) }), index);
      }
      const order = shuffled(20, seed);
      const handedOut = order.flatMap((index) => window.settle(index, OUTCOME) ?? assert.fail());
      const expected = ordered ? [...order].sort((one, other) => one - other) : order;
      assert.deepEqual(
        handedOut.map(({ index, id }) => [index, id]),
        expected.map((index) => [index, `d${index}`]),
      );
      assert(window.idle);
    }
  }
});

test("an answer that nobody waits for is told", () => {
  const window = new Window(1000, false, () => 0);
  window.admit("a");
  assert.equal(window.settle(1, OUTCOME), undefined);
  assert.equal(window.settle(-1, OUTCOME), undefined);
  assert.equal(window.settle(0, OUTCOME)?.length, 1);
  assert.equal(window.settle(0, OUTCOME), undefined);
});

test("what waits can be sent again, the oldest first", () => {
  const window = new Window(1000, false, () => 0);
  ["a", "b", "c"].forEach((text) => window.admit(text));
  window.settle(1, OUTCOME);
  assert.deepEqual(window.waiting, [0, 2]);
  assert.deepEqual([window.text(0), window.text(1), window.text(2)], ["a", undefined, "c"]);
});

test("patience counts from the last answer, or the oldest document after it", () => {
  let now = 5_000;
  const window = new Window(1000, false, () => now);
  assert.equal(window.patience(), Infinity);
  window.admit("a");
  now += 400;
  window.admit("b");
  assert.equal(window.patience(), 600);
  window.settle(0, OUTCOME);
  assert.equal(window.patience(), 1000);
  now += 999;
  assert.equal(window.patience(), 1);
  now += 1;
  assert.throws(() => window.patience(), { code: "DEADLINE_EXCEEDED", message: /1000 ms while 1 documents/ });
  const last = new SentinovaError("UNAVAILABLE", "away");
  assert.throws(() => window.patience(last), { cause: last, message: /UNAVAILABLE: away/ });
  window.settle(1, OUTCOME);
  assert.equal(window.patience(), Infinity);
});
