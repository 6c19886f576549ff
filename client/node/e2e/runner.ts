/*
 * The runner of the end-to-end tests: reads one request from the standard input, makes its calls by the public
 * interface, and writes what came of them, a line an outcome. Its contract is tests/e2e/README.md. Must not judge,
 * and is no part of the package.
 */

import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";

import {
  type AnalyzeOptions,
  type Sentiment,
  SentinovaClient,
  SentinovaError,
  type TextDocument,
  type TlsOptions,
} from "@sentinova/client";

interface Request {
  readonly scenario: string;
  readonly address: string;
  readonly tls?: { ca_file: string; cert_file?: string; key_file?: string; server_name?: string } | null;
  readonly timeout_seconds?: number | null;
  readonly documents?: readonly TextDocument[];
  readonly config?: {
    model?: string;
    version?: number;
    label?: string;
    routing_key?: string;
    long_text?: "error" | "truncate";
    priority?: number;
  } | null;
  readonly concurrency?: number;
  readonly repeat?: number;
  readonly cancel_after_seconds?: number;
  readonly events?: number;
}

type Scenario = (client: SentinovaClient, request: Request) => Promise<void>;

/** Asks for each document in a call of its own, `concurrency` calls at once. */
async function unary(client: SentinovaClient, request: Request): Promise<void> {
  const documents = Array.from({ length: request.repeat ?? 1 }, () => request.documents ?? []).flat();
  const next = documents.values();
  const caller = async (): Promise<void> => {
    for (const { id, text } of next) {
      writeOutcome(id, await settled(client.analyze(text, options(request))));
    }
  };
  await Promise.all(Array.from({ length: request.concurrency ?? 1 }, caller));
}

/** Asks for all documents in one call. */
async function batch(client: SentinovaClient, request: Request): Promise<void> {
  const { documents = [] } = request;
  const answers = await settled(client.analyzeBatch(documents, options(request)));
  if (answers instanceof SentinovaError) {
    documents.forEach(({ id }) => writeOutcome(id, answers));
  } else {
    answers.forEach(({ id, result, error }) => writeOutcome(id, error ?? result));
  }
}

/** Asks for all documents over one stream, whose deadline is that of the whole. */
async function stream(client: SentinovaClient, request: Request): Promise<void> {
  const { documents = [] } = request;
  const { timeoutMs, ...config } = options(request);
  const answered = new Set<number>();
  try {
    for await (const { index, id, result, error } of client.stream(documents, {
      ...config,
      totalTimeoutMs: timeoutMs,
    })) {
      answered.add(index);
      writeOutcome(id, error ?? result);
    }
  } catch (failure) {
    if (!(failure instanceof SentinovaError)) {
      throw failure;
    }
    documents.forEach(({ id }, index) => answered.has(index) || writeOutcome(id, failure));
  }
}

/** Asks for the first document, and gives up. */
async function cancel(client: SentinovaClient, request: Request): Promise<void> {
  const [document] = request.documents ?? [];
  if (document === undefined) {
    throw new TypeError("cancel needs a document");
  }
  const signal = AbortSignal.timeout((request.cancel_after_seconds ?? 0) * 1000);
  writeOutcome(document.id, await settled(client.analyze(document.text, { ...options(request), signal })));
}

/** Asks for the health of the server and of the model. */
async function health(client: SentinovaClient, request: Request): Promise<void> {
  for (const service of ["", ...models(request)]) {
    write({ service, status: await client.health(service, { retry: true }) });
  }
}

/** Lists the models. */
async function list(client: SentinovaClient): Promise<void> {
  for (const { name, defaultVersion = null, versions } of await client.listModels()) {
    write({
      model: name,
      default_version: defaultVersion,
      versions: versions.map(({ version, state, labels }) => ({ version, state, labels })),
    });
  }
}

/** Watches the models until enough has happened after the first whole state. */
async function watch(client: SentinovaClient, request: Request): Promise<void> {
  const { timeoutMs } = options(request);
  let left: number | undefined;
  for await (const { kind, model, version = null, state = "" } of client.watchModels({
    models: models(request),
    timeoutMs,
  })) {
    write({ kind, model, version, state });
    if (left !== undefined) {
      left--;
    } else if (kind === "SYNCED") {
      left = request.events ?? 0;
    }
    if (left === 0) {
      break;
    }
  }
}

const SCENARIOS: Readonly<Record<string, Scenario>> = { unary, batch, stream, cancel, health, models: list, watch };

/** The model that health and watch are about, where there is one. */
function models(request: Request): string[] {
  return request.config?.model ? [request.config.model] : [];
}

function options(request: Request): AnalyzeOptions {
  const { model, version, label, routing_key: routingKey, long_text: longText, priority } = request.config ?? {};
  return { model, version, label, routingKey, longText, priority, timeoutMs: milliseconds(request) };
}

function milliseconds(request: Request): number | undefined {
  return typeof request.timeout_seconds === "number" ? request.timeout_seconds * 1000 : undefined;
}

function tls(request: Request): TlsOptions | undefined {
  if (!request.tls) {
    return undefined;
  }
  const { ca_file, cert_file, key_file, server_name } = request.tls;
  const read = (path: string | null | undefined): Buffer | undefined => (path ? readFileSync(path) : undefined);
  return { ca: read(ca_file), cert: read(cert_file), key: read(key_file), serverName: server_name ?? undefined };
}

/** Gives what a call gives, or the error that it fails with. */
async function settled<T>(call: Promise<T>): Promise<T | SentinovaError> {
  try {
    return await call;
  } catch (failure) {
    if (failure instanceof SentinovaError) {
      return failure;
    }
    throw failure;
  }
}

function writeOutcome(id: string, outcome: Sentiment | SentinovaError): void {
  if (!(outcome instanceof SentinovaError)) {
    const { label, score, scores, model, version, tokenCount, truncated } = outcome;
    write({ id, outcome: "result", label, score, scores, model, version, token_count: tokenCount, truncated });
    return;
  }
  const { code, reason = "", field = "", message, metadata, retryAfterMs } = outcome;
  const retry_after_seconds = retryAfterMs === undefined ? null : retryAfterMs / 1000;
  write({ id, outcome: "error", code, reason, field, message, metadata, retry_after_seconds });
}

function write(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function main(): Promise<void> {
  const request = JSON.parse(await text(process.stdin)) as Request;
  const scenario = SCENARIOS[request.scenario];
  if (scenario === undefined) {
    throw new TypeError(`there is no scenario "${request.scenario}"`);
  }
  const timeoutMs = milliseconds(request);
  const client = new SentinovaClient({ address: request.address, tls: tls(request), timeoutMs });
  try {
    await scenario(client, request);
  } finally {
    client.close();
  }
}

main().catch((failure: unknown) => {
  console.error(failure);
  process.exitCode = 1;
});
