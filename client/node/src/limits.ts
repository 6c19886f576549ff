/*
 * How long a call may go on: its deadline, its signal, and the closing of its client. Knows clocks and signals; must
 * not know what is asked of the server.
 */

import { SentinovaError } from "./errors.js";

const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** What runs on a client and is to be cancelled when it is closed. */
export class Running {
  readonly #cancels = new Set<() => void>();
  #closed = false;

  /** Whether the client is closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Notes how something is cancelled; gives what forgets it again. */
  add(cancel: () => void): () => void {
    this.#cancels.add(cancel);
    return () => this.#cancels.delete(cancel);
  }

  /** Cancels everything. */
  close(): void {
    this.#closed = true;
    for (const cancel of [...this.#cancels]) {
      cancel();
    }
  }
}

/** What bounds one call of the user, with all its attempts. */
export class Limits {
  readonly #start = performance.now();

  /**
   * @param timeoutMs - Milliseconds from now; `Infinity`: no deadline.
   * @param signal - The user's signal.
   * @param running - What cancels the call when the client is closed.
   * @param retry - Whether interruptions are waited out.
   */
  constructor(
    readonly timeoutMs: number,
    readonly signal: AbortSignal | undefined,
    readonly running: Running,
    readonly retry: boolean,
  ) {}

  /** Milliseconds until the deadline. */
  get leftMs(): number {
    return this.#start + this.timeoutMs - performance.now();
  }

  /** The deadline as gRPC takes it. */
  get deadline(): number {
    return this.timeoutMs === Infinity ? Infinity : Date.now() + this.leftMs;
  }

  /** The error of a call that was given up; undefined while it was not. */
  get abandoned(): SentinovaError | undefined {
    if (this.signal?.aborted === true) {
      return new SentinovaError("CANCELLED", "the call was cancelled", { cause: this.signal.reason });
    }
    const closed = { reason: "CLIENT_CLOSED" };
    return this.running.closed ? new SentinovaError("CANCELLED", "the client was closed", closed) : undefined;
  }

  /** Has something done when the call is given up; gives what takes that back. */
  onAbandoned(act: () => void): () => void {
    const forget = this.running.add(act);
    this.signal?.addEventListener("abort", act, { once: true });
    return () => {
      forget();
      this.signal?.removeEventListener("abort", act);
    };
  }

  /** Makes the error of a call whose deadline has passed. */
  exceeded(last: SentinovaError | undefined): SentinovaError {
    const why = last === undefined ? "" : `; the last attempt ended with ${last.code}: ${last.message}`;
    return new SentinovaError("DEADLINE_EXCEEDED", `the deadline of ${this.timeoutMs} ms passed${why}`, {
      cause: last,
    });
  }

  /**
   * Waits.
   *
   * @throws {SentinovaError} CANCELLED, where the call is given up meanwhile.
   */
  async pause(milliseconds: number): Promise<void> {
    if (this.abandoned !== undefined) {
      throw this.abandoned;
    }
    await new Promise<void>((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        forget();
        resolve();
      };
      const timer = setTimeout(end, timerMs(milliseconds));
      const forget = this.onAbandoned(end);
    });
    if (this.abandoned !== undefined) {
      throw this.abandoned;
    }
  }
}

/** Gives the delay of a timer, which fires at once where it is set to longer than it can count. */
export function timerMs(milliseconds: number): number {
  return Math.min(Math.max(milliseconds, 0), LONGEST_TIMER_MS);
}
