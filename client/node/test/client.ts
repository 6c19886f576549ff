/*
 * A server and a client of it for one test, ended with it. Knows both; must not know what a test is about.
 */

import type { TestContext } from "node:test";

import { SentinovaClient } from "../src/client.js";
import type { ClientOptions } from "../src/options.js";
import { type Behavior, TestServer } from "./server.js";

/** Starts a server, and gives it with a client that calls it. */
export async function rig(
  test: TestContext,
  behavior: Behavior,
  options: ClientOptions = {},
): Promise<{ server: TestServer; client: SentinovaClient }> {
  const server = await TestServer.start(behavior);
  const client = new SentinovaClient({ address: server.address, ...options });
  test.after(() => {
    client.close();
    server.kill();
  });
  return { server, client };
}

/** Gives all that comes. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) {
    all.push(item);
  }
  return all;
}

/** A promise, and what fulfils it. */
export function promised<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((fulfil) => (resolve = fulfil));
  return { promise, resolve };
}
