/* A stream of documents: order, flow control, errors, and going on after a broken connection. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { status } from "@grpc/grpc-js";

import type { DocumentInput } from "../src/options.js";
import { collect, promised, rig } from "./client.js";
import { type Behavior, failure, result, statusOf, type StreamEnd, TestServer } from "./server.js";

type Sent = { id: string; text: string };

/** Hands a stream's documents to `each`, and ends it when the client has. */
function documents(call: StreamEnd, each: (document: Sent) => void, last: () => unknown = () => call.end()): void {
  call.on("data", ({ content }) => content?.$case === "document" && each(content.value));
  call.on("end", last);
  call.on("error", () => {});
}

function reply(call: StreamEnd, { id, text }: Sent): void {
  call.write({ id, outcome: { $case: "result", value: result(text) } });
}

const echo: Behavior = { streamAnalyzeSentiment: (call) => documents(call, (document) => reply(call, document)) };

test("answers are matched to documents, whatever their order", async (t) => {
  const { client } = await rig(t, {
    streamAnalyzeSentiment: (call) => {
      const all: Sent[] = [];
      const last = (): void => {
        all.reverse().forEach((document) => reply(call, document));
        call.end();
      };
      documents(call, (document) => all.push(document), last);
    },
  });
  const input: DocumentInput[] = ["a", { id: "mine", text: "b" }, { id: "mine", text: "c" }];
  const seen = (await collect(client.stream(input))).map(({ index, id, result }) => [index, id, result?.label]);
  assert.deepEqual(seen, [
    [2, "mine", "c"],
    [1, "mine", "b"],
    [0, "0", "a"],
  ]);
  const ordered = await collect(client.stream(input, { ordered: true }));
  assert.deepEqual(
    ordered.map(({ result }) => result?.label),
    ["a", "b", "c"],
  );
});

test("the configuration goes first", async (t) => {
  const kinds: unknown[] = [];
  const { client } = await rig(t, {
    streamAnalyzeSentiment: (call) => {
      call.on("data", ({ content }) => kinds.push(content?.$case === "config" ? content.value.model : content?.$case));
      documents(call, (document) => reply(call, document));
    },
  });
  await collect(client.stream(["a", "b"], { model: "m" }));
  assert.deepEqual(kinds, ["m", "document", "document"]);
});

test("a bad document fails alone", async (t) => {
  const refusal = statusOf(status.INVALID_ARGUMENT, "empty", { reason: "TEXT_EMPTY", field: "document.text" });
  const { client } = await rig(t, {
    streamAnalyzeSentiment: (call) =>
      documents(call, (document) =>
        document.text === ""
          ? call.write({ id: document.id, outcome: { $case: "error", value: refusal } })
          : reply(call, document),
      ),
  });
  const all = await collect(client.stream(["a", "", "half \uD83D", "b"], { ordered: true }));
  assert.deepEqual(
    all.map(({ result, error }) => result?.label ?? error?.reason),
    ["a", "TEXT_EMPTY", "TEXT_NOT_UNICODE", "b"],
  );
});

test("an endless input is read only as answers are taken", async (t) => {
  const { client } = await rig(t, echo);
  let read = 0;
  let closed = false;
  async function* endless(): AsyncGenerator<string> {
    try {
      for (;;) {
        yield String(read++);
      }
    } finally {
      closed = true;
    }
  }
  let taken = 0;
  for await (const { error } of client.stream(endless(), { maxInFlight: 5 })) {
    assert.equal(error, undefined);
    taken++;
    await delay(1);
    assert(read <= taken + 5, `${read} read, ${taken} taken`);
    if (taken === 50) {
      break;
    }
  }
  assert(closed);
});

test("large documents are held back by the server's pace, and all arrive", async (t) => {
  const { client } = await rig(t, {
    streamAnalyzeSentiment: (call) => documents(call, ({ id, text }) => reply(call, { id, text: text.slice(0, 8) })),
  });
  const texts = Array.from({ length: 400 }, (_, index) => String(index).padEnd(60_000, "."));
  const all = await collect(client.stream(texts, { ordered: true }));
  assert.deepEqual(
    all.map(({ result }) => result?.label),
    texts.map((text) => text.slice(0, 8)),
  );
});

test("leaving the loop cancels the call at the server", async (t) => {
  const ended = promised();
  const { client } = await rig(t, {
    streamAnalyzeSentiment: (call) => {
      call.on("cancelled", () => ended.resolve());
      documents(call, (document) => reply(call, document));
    },
  });
  async function* waiting(): AsyncGenerator<string> {
    yield "a";
    await new Promise(() => {}); // for ever
  }
  for await (const answer of client.stream(waiting())) {
    assert.equal(answer.result?.label, "a");
    break;
  }
  await ended.promise;
});

test("a stream that is answered whole is not cancelled", async (t) => {
  const cancelled: boolean[] = [];
  const done = promised();
  const { client } = await rig(t, {
    streamAnalyzeSentiment: (call) => {
      documents(call, (document) => reply(call, document));
      call.on("finish", () => {
        cancelled.push(call.cancelled);
        done.resolve();
      });
    },
  });
  await collect(client.stream(["a"]));
  await done.promise;
  assert.deepEqual(cancelled, [false]);
});

test("an empty stream needs no call", async (t) => {
  const { client } = await rig(t, {});
  assert.deepEqual(await collect(client.stream([])), []);
});

test("what the input throws comes after the answers for what was read", async (t) => {
  const { client } = await rig(t, echo);
  const cause = new Error("disk");
  function* failing(): Generator<string> {
    yield "a";
    yield "b";
    throw cause;
  }
  const labels: unknown[] = [];
  await assert.rejects(async () => {
    for await (const { result } of client.stream(failing())) {
      labels.push(result?.label);
    }
  }, cause);
  assert.deepEqual(labels.sort(), ["a", "b"]);
  await assert.rejects(collect(client.stream([7] as never)), TypeError);
});

test("a stream that fails as a whole throws after the answers that came", async (t) => {
  const { client } = await rig(t, {
    streamAnalyzeSentiment: (call) =>
      documents(call, (document) => {
        reply(call, document);
        if (document.text === "b") {
          call.emit("error", failure(status.NOT_FOUND, "gone", { reason: "MODEL_NOT_FOUND" }));
        }
      }),
  });
  const labels: unknown[] = [];
  const run = async (): Promise<void> => {
    for await (const { result } of client.stream(["a", "b", "c", "d"], { ordered: true })) {
      labels.push(result?.label);
    }
  };
  await assert.rejects(run, { code: "NOT_FOUND", reason: "MODEL_NOT_FOUND" });
  assert.deepEqual(labels.slice(0, 1), ["a"]);
});

test("documents without an answer are sent again when the connection breaks", async (t) => {
  const seen: string[][] = [];
  const broken = promised();
  const first = await TestServer.start({
    streamAnalyzeSentiment: (call) => {
      const here: string[] = [];
      seen.push(here);
      documents(call, (document) => {
        here.push(document.text);
        if (Number(document.text) % 2 === 0) {
          reply(call, document);
        }
        if (here.length === 20) {
          broken.resolve();
        }
      });
    },
  });
  t.after(() => first.kill());
  const { client } = await rig(t, {}, { address: first.address });
  const texts = Array.from({ length: 60 }, (_, index) => String(index));
  const run = collect(client.stream(texts, { maxInFlight: 20, timeoutMs: 60_000 }));
  await broken.promise;
  first.kill();
  const again: string[] = [];
  const second = await TestServer.start(
    {
      streamAnalyzeSentiment: (call) =>
        documents(call, (document) => {
          again.push(document.text);
          reply(call, document);
        }),
    },
    first.port,
  );
  t.after(() => second.kill());
  const labels = (await run).map(({ result }) => result?.label);
  assert.deepEqual([...labels].sort(), [...texts].sort(), "each document has one answer");
  assert(again.includes("1"), "an unanswered document was sent again");
  assert.equal(new Set(again).size, again.length, "none was sent twice to the second server");
});

for (const code of [status.UNAVAILABLE, status.CANCELLED]) {
  test(`a stream goes on after ${status[code]}, also when its input has ended`, async (t) => {
    let calls = 0;
    const { client } = await rig(t, {
      streamAnalyzeSentiment: (call) => {
        const mine = ++calls;
        if (mine > 2) {
          documents(call, (document) => reply(call, document));
          return;
        }
        documents(
          call,
          () => {},
          () => call.emit("error", failure(code, "not now")),
        );
      },
    });
    const all = await collect(client.stream(["a", "b"], { ordered: true }));
    assert.deepEqual(
      all.map(({ result }) => result?.label),
      ["a", "b"],
    );
    assert.equal(calls, 3);
  });
}

test("however often the connection breaks, each document has one answer", async (t) => {
  for (let seed = 1; seed <= 8; seed++) {
    let random = seed;
    const below = (limit: number): number => (random = (random * 48_271) % (2 ** 31 - 1)) % limit;
    const { client } = await rig(t, {
      streamAnalyzeSentiment: (call) => {
        let left = below(25); // answers until this call breaks
        const replies: Promise<unknown>[] = [];
        const answer = (document: Sent): void => {
          if (left-- > 0) {
            // After its error, grpc-js's server must not write: it would never send the status.
            replies.push(delay(below(5)).then(() => left >= 0 && reply(call, document)));
          } else if (left === -1) {
            call.emit("error", failure(status.UNAVAILABLE, "broken"));
          }
        };
        documents(call, answer, () => left >= 0 && Promise.all(replies).then(() => call.end()));
      },
    });
    const texts = Array.from({ length: 60 }, (_, index) => String(index));
    const all = await collect(client.stream(texts, { ordered: seed % 2 === 0, maxInFlight: 1 + below(30) }));
    const labels = all.map(({ index, result }) => (assert.equal(result?.label, String(index)), index));
    assert.deepEqual(
      labels.sort((one, other) => one - other),
      texts.map(Number),
      `seed ${seed}`,
    );
  }
});

test("retry: false ends a stream with its first interruption", async (t) => {
  const { client } = await rig(t, {
    streamAnalyzeSentiment: (call) => documents(call, () => call.emit("error", failure(status.UNAVAILABLE, "away"))),
  });
  await assert.rejects(collect(client.stream(["a"], { retry: false })), { code: "UNAVAILABLE", message: "away" });
});

test("a stream without answers ends when its patience does, and says why", async (t) => {
  const { client } = await rig(t, {
    streamAnalyzeSentiment: (call) =>
      documents(
        call,
        () => {},
        () => {},
      ),
  });
  await assert.rejects(collect(client.stream(["a"], { timeoutMs: 200 })), {
    code: "DEADLINE_EXCEEDED",
    message: "no answer came for 200 ms while 1 documents waited for theirs",
  });
  const { server, client: other } = await rig(t, {});
  server.kill();
  await assert.rejects(collect(other.stream(["a"], { timeoutMs: 3_000 })), {
    code: "DEADLINE_EXCEEDED",
    message: /UNAVAILABLE.*ECONNREFUSED/,
  });
});

test("a stream has a deadline as a whole where one is given", async (t) => {
  const { client } = await rig(t, echo);
  async function* slow(): AsyncGenerator<string> {
    for (;;) {
      yield "a";
      await delay(20);
    }
  }
  await assert.rejects(collect(client.stream(slow(), { totalTimeoutMs: 300 })), { code: "DEADLINE_EXCEEDED" });
});

test("a signal ends a stream, also one that waits for its input", async (t) => {
  const { client } = await rig(t, echo);
  const controller = new AbortController();
  async function* waiting(): AsyncGenerator<string> {
    yield "a";
    await new Promise(() => {});
  }
  const labels: unknown[] = [];
  const run = async (): Promise<void> => {
    for await (const { result } of client.stream(waiting(), { signal: controller.signal })) {
      labels.push(result?.label);
      setTimeout(() => controller.abort("enough"), 10);
    }
  };
  await assert.rejects(run, { code: "CANCELLED", cause: "enough" });
  assert.deepEqual(labels, ["a"]);
});

test("a signal cancels the call at the server while nobody asks for answers", async (t) => {
  const ended = promised();
  const { client } = await rig(t, {
    streamAnalyzeSentiment: (call) => {
      call.on("cancelled", () => ended.resolve());
      documents(call, (document) => reply(call, document));
    },
  });
  const controller = new AbortController();
  async function* waiting(): AsyncGenerator<string> {
    yield "a";
    await new Promise(() => {});
  }
  const answers = client.stream(waiting(), { signal: controller.signal });
  assert.equal((await answers.next()).value?.id, "0");
  controller.abort("enough");
  await ended.promise;
  await assert.rejects(answers.next(), { code: "CANCELLED", cause: "enough" });
});

test("closing the client ends a stream", async (t) => {
  const reached = promised();
  const { client } = await rig(t, { streamAnalyzeSentiment: (call) => documents(call, () => reached.resolve()) });
  const run = collect(client.stream(["a"]));
  void reached.promise.then(() => client.close());
  await assert.rejects(run, { code: "CANCELLED", reason: "CLIENT_CLOSED" });
});

test("a server that breaks the rules is told from one that is away", async (t) => {
  const { client } = await rig(t, {
    streamAnalyzeSentiment: (call) => documents(call, ({ text }) => reply(call, { id: "9", text })),
  });
  await assert.rejects(collect(client.stream(["a"])), { code: "INTERNAL", reason: "UNEXPECTED_ANSWER" });
  const { client: cut } = await rig(t, { streamAnalyzeSentiment: (call) => documents(call, () => call.end()) });
  await assert.rejects(collect(cut.stream(["a"])), { code: "INTERNAL", reason: "STREAM_CUT" });
});

test("what makes no sense is refused at once", async (t) => {
  const { client } = await rig(t, {});
  assert.throws(() => client.stream("text"), TypeError);
  assert.throws(() => client.stream(["a"], { maxInFlight: 0 }), RangeError);
  assert.throws(() => client.stream(["a"], { version: 1, label: "b" }), TypeError);
  assert.throws(() => client.stream(["a"], { totalTimeoutMs: -1 }), RangeError);
});
