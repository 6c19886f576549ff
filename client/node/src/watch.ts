/*
 * A watch of models that goes on over as many calls as it takes. Knows events and interruptions; must not know the
 * call.
 */

import { SentinovaError } from "./errors.js";
import type { Limits } from "./limits.js";
import type { ModelEvent } from "./results.js";
import { Backoff, isInterruption, waitBefore } from "./retry.js";

/**
 * Gives the events of a watch, and then those of the watches that take its place. A new watch tells again how things
 * are: what changed in between is in its INITIAL events.
 *
 * @param limits - Of all watches together. Where interruptions are not waited out, the first watch is the last.
 * @param watch - Begins a watch.
 * @throws {SentinovaError} of a watch that ended with an error that will not pass by itself.
 */
export async function* watchAgain(
  limits: Limits,
  watch: () => AsyncIterable<ModelEvent>,
): AsyncGenerator<ModelEvent, void, undefined> {
  const backoff = new Backoff();
  for (;;) {
    let last: SentinovaError | undefined;
    try {
      for await (const event of watch()) {
        backoff.reset();
        yield event;
      }
    } catch (failure) {
      last = passing(failure, limits);
    }
    if (!limits.retry) {
      return;
    }
    await waitBefore(backoff, limits, last);
  }
}

/** Gives a failure that passes by itself, and throws any other. */
function passing(failure: unknown, limits: Limits): SentinovaError {
  if (limits.abandoned !== undefined) {
    throw limits.abandoned;
  }
  // ABORTED: the events were not read quickly enough, and a new watch may begin.
  const passes = failure instanceof SentinovaError && (failure.code === "ABORTED" || isInterruption(failure));
  if (!passes || !limits.retry) {
    throw failure;
  }
  return failure;
}
