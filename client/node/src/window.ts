/*
 * The documents of a stream that have no answer yet, and the matching of answers to them. Knows indices, ids, texts
 * and times; must not know calls: the stream brings answers and a clock, the window says what to send, what to hand
 * out, and how long to wait.
 */

import { answerOf, named, type Outcome } from "./conversion.js";
import { SentinovaError } from "./errors.js";
import type { DocumentInput } from "./options.js";
import type { Answer } from "./results.js";

interface Waiting {
  readonly id: string;
  readonly text: string;
  readonly since: number;
}

/** The unanswered documents of one stream. Its user keeps their number bounded. */
export class Window {
  readonly #waiting = new Map<number, Waiting>(); // by index; the oldest first
  readonly #held = new Map<number, Answer>(); // answered before a predecessor was
  #admitted = 0;
  #handedOut = 0;
  #lastAnswer = 0;

  /**
   * @param timeoutMs - The longest wait for the next answer while documents wait for theirs.
   * @param ordered - Whether answers are handed out in the order of the input.
   * @param now - Gives the time in milliseconds, from any start, never running backwards.
   */
  constructor(
    private readonly timeoutMs: number,
    private readonly ordered: boolean,
    private readonly now: () => number,
  ) {}

  /** The indices of the documents that wait, the oldest first. */
  get waiting(): number[] {
    return [...this.#waiting.keys()];
  }

  /** Whether no document waits for its answer. */
  get idle(): boolean {
    return this.#waiting.size === 0;
  }

  /**
   * Takes in the next document, and gives its index.
   *
   * @throws {TypeError} where it is neither a text nor a text with a name.
   */
  admit(item: DocumentInput): number {
    const { id, text } = named(item, this.#admitted);
    this.#waiting.set(this.#admitted, { id, text, since: this.now() });
    return this.#admitted++;
  }

  /** Gives the text of a document that waits; undefined where it has been answered. */
  text(index: number): string | undefined {
    return this.#waiting.get(index)?.text;
  }

  /** Takes in an outcome, and gives the answers that may be handed out now; undefined where nobody waits for it. */
  settle(index: number, outcome: Outcome): Answer[] | undefined {
    const entry = this.#waiting.get(index);
    if (entry === undefined) {
      return undefined;
    }
    this.#waiting.delete(index);
    this.#lastAnswer = this.now();
    const answer = answerOf(index, entry.id, outcome);
    if (!this.ordered) {
      return [answer];
    }
    this.#held.set(index, answer);
    return this.#nextInOrder();
  }

  /**
   * Gives how many milliseconds may pass until the next answer.
   *
   * @param last - Why there was no answer lately, where that is known.
   * @throws {SentinovaError} DEADLINE_EXCEEDED, where documents wait and none was answered for too long.
   */
  patience(last?: SentinovaError): number {
    const oldest = this.#waiting.values().next().value;
    if (oldest === undefined) {
      return Infinity;
    }
    const left = Math.max(oldest.since, this.#lastAnswer) + this.timeoutMs - this.now();
    if (left > 0) {
      return left;
    }
    const why = last === undefined ? "" : `; the last call ended with ${last.code}: ${last.message}`;
    throw new SentinovaError(
      "DEADLINE_EXCEEDED",
      `no answer came for ${this.timeoutMs} ms while ${this.#waiting.size} documents waited for theirs${why}`,
      { cause: last },
    );
  }

  #nextInOrder(): Answer[] {
    const ready: Answer[] = [];
    for (let answer; (answer = this.#held.get(this.#handedOut)) !== undefined; this.#handedOut++) {
      this.#held.delete(this.#handedOut);
      ready.push(answer);
    }
    return ready;
  }
}
