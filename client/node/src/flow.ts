/*
 * Two small tools of flow control between asynchronous tasks. Knows promises and timers; must not know what flows.
 */

import { timerMs } from "./limits.js";

/** A bounded number of places, taken one at a time and given back. For one taker. */
export class Places {
  #free: number;
  #closed = false;
  #taker: (() => void) | undefined;

  constructor(count: number) {
    this.#free = count;
  }

  /** Takes a place, once there is one; gives false where none will be given any more. */
  async take(): Promise<boolean> {
    while (this.#free === 0 && !this.#closed) {
      await new Promise<void>((resolve) => (this.#taker = resolve));
    }
    this.#free--;
    return !this.#closed;
  }

  /** Gives a place back. */
  release(): void {
    this.#free++;
    this.#taker?.();
  }

  /** Gives no places any more. */
  close(): void {
    this.#closed = true;
    this.#taker?.();
  }
}

/** Items from many givers to one taker. */
export class Mailbox<T> {
  readonly #items: T[] = [];
  #failure: { readonly error: unknown } | undefined;
  #taker: (() => void) | undefined;

  /** Puts an item in. */
  put(...items: T[]): void {
    this.#items.push(...items);
    this.wake();
  }

  /** Has `take` throw once the items that are there have been taken. The first failure counts. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.wake();
  }

  /** Has `take` look again whether it is to go on waiting. */
  wake(): void {
    this.#taker?.();
  }

  /**
   * Takes the next item, once there is one.
   *
   * @param patience - Gives how many milliseconds to wait before it is asked again, undefined to end, or throws.
   * @returns undefined where `patience` ended the wait.
   */
  async take(patience: () => number | undefined): Promise<T | undefined> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) {
        return item;
      }
      if (this.#failure !== undefined) {
        throw this.#failure.error;
      }
      const wait = patience();
      if (wait === undefined) {
        return undefined;
      }
      await this.#change(wait);
    }
  }

  async #change(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timerMs(milliseconds));
      this.#taker = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#taker = undefined;
  }
}
