/*
 * Waiting out a server that is away: which failures pass by themselves, how long to wait, and making calls again.
 *
 * gRPC's own retry policy is not used. In grpc-js it ends after five attempts, though a server may load for longer;
 * it does not read `waitForReady` in a service config; it gives up calls that a stopping server cancels; and a
 * deadline that passes meanwhile hides why the server could not be reached. Here a call goes on until its deadline,
 * and says why.
 *
 * Knows errors and waits; must not know gRPC. Whatever is made again must be harmless to make twice.
 */

import { SentinovaError } from "./errors.js";
import type { Limits } from "./limits.js";

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 2_000;
const LONGEST_ASKED_MS = 5_000;
const JITTER = 0.2;
// What grpc-js says of a server that is there, but is not the one that the client was set up for.
const WRONG_SERVER = /ERR_TLS_CERT|certificate|wrong version number/;

/** Growing, jittered waits: each twice as long as the one before, give or take a fifth, up to 2 s. */
export class Backoff {
  #next = FIRST_WAIT_MS;

  /** Begins anew: the server is there. */
  reset(): void {
    this.#next = FIRST_WAIT_MS;
  }

  /** Gives the next wait in milliseconds, which is no shorter than what the server asked for. */
  next(failure: SentinovaError | undefined): number {
    const wait = this.#next * (1 + JITTER * (2 * Math.random() - 1));
    this.#next = Math.min(2 * this.#next, LONGEST_WAIT_MS);
    return Math.max(wait, Math.min(failure?.retryAfterMs ?? 0, LONGEST_ASKED_MS));
  }
}

/**
 * Tells whether a failure passes by itself: the server is away, loading or stopping, or the connection broke.
 *
 * @param failure - Of a call that its caller did not give up. A CANCELLED call was then cancelled by a server that
 *   stops.
 */
export function isInterruption(failure: SentinovaError): boolean {
  switch (failure.code) {
    case "UNAVAILABLE":
      return failure.reason !== undefined || !WRONG_SERVER.test(failure.message);
    case "CANCELLED":
      return true;
    case "INTERNAL":
      // What grpc-js makes of a stream that was reset before the server gave a status.
      return failure.reason === undefined && failure.message.startsWith("Received RST_STREAM");
    default:
      return false;
  }
}

/**
 * Makes a call, and makes it again after interruptions, until its deadline.
 *
 * @param attempt - Makes the call once; rejects with a SentinovaError.
 * @throws {SentinovaError} of the call; DEADLINE_EXCEEDED, with the last attempt's as its cause, where the time is up.
 */
export async function persist<T>(limits: Limits, attempt: () => Promise<T>): Promise<T> {
  const backoff = new Backoff();
  let last: SentinovaError | undefined;
  for (;;) {
    try {
      return await attempt();
    } catch (failure) {
      if (limits.abandoned !== undefined) {
        throw limits.abandoned;
      }
      if (!(failure instanceof SentinovaError) || !limits.retry) {
        throw failure;
      }
      if (failure.code === "DEADLINE_EXCEEDED" && failure.reason === undefined && last !== undefined) {
        throw limits.exceeded(last); // gRPC's own error does not say what came before
      }
      if (!isInterruption(failure)) {
        throw failure;
      }
      last = failure;
    }
    await waitBefore(backoff, limits, last);
  }
}

/**
 * Waits before another attempt.
 *
 * @throws {SentinovaError} CANCELLED, where the call is given up; DEADLINE_EXCEEDED, where the time is up.
 */
export async function waitBefore(backoff: Backoff, limits: Limits, last: SentinovaError | undefined): Promise<void> {
  await limits.pause(within(backoff.next(last), limits.leftMs));
  if (limits.leftMs <= 0) {
    throw limits.exceeded(last);
  }
}

/** Gives a wait that is shorter towards the deadline, so that there is time for another attempt. */
export function within(wait: number, left: number): number {
  return Math.min(wait, left > 2 * FIRST_WAIT_MS ? left / 2 : left);
}
