/*
 * The client. Knows the methods of the services and brings together what makes their calls; conversion, retries and the
 * order of a stream live elsewhere.
 */

import type { MethodDefinition } from "@grpc/grpc-js";

import { Channel } from "./call.js";
import {
  analysisConfig,
  answerOf,
  documentMessage,
  named,
  outcomeOf,
  sentimentOf,
  textFault,
  unexpected,
} from "./conversion.js";
import { SentinovaError } from "./errors.js";
import { ModelServiceService } from "./gen/sentinova/v1/model_service.js";
import { SentimentServiceService } from "./gen/sentinova/v1/sentiment_service.js";
import { CHECK } from "./health.js";
import { Limits, Running } from "./limits.js";
import { modelEvent, modelInfo } from "./models.js";
import {
  type AnalyzeOptions,
  type CallOptions,
  checkAddress,
  checkAnalyze,
  checkInFlight,
  checkTimeout,
  type ClientOptions,
  DEFAULT_ADDRESS,
  DEFAULT_MAX_IN_FLIGHT,
  DEFAULT_MAX_MESSAGE_BYTES,
  DEFAULT_TIMEOUT_MS,
  type DocumentInput,
  type StreamInput,
  type StreamOptions,
  type WatchOptions,
} from "./options.js";
import type { Answer, HealthStatus, ModelEvent, ModelInfo, Sentiment } from "./results.js";
import { persist } from "./retry.js";
import { DocumentStream } from "./stream.js";
import { watchAgain } from "./watch.js";
import { Window } from "./window.js";

const LONGEST_CHECK_MS = 5_000; // that one health check may take while the server is waited for
const DEFAULT_READY_TIMEOUT_MS = 60_000;

/**
 * A client of a Sentinova server. It connects when it is first used, and may be used for many calls at once; make one
 * and keep it. What fails is a {@link SentinovaError}, what cannot be asked a TypeError or a RangeError.
 *
 * @example
 * ```ts
 * const client = new SentinovaClient({ address: "127.0.0.1:8001" });
 * const { label, score } = await client.analyze("A quiet, lovely film.");
 * client.close();
 * ```
 */
export class SentinovaClient {
  /** Where the server is. */
  readonly address: string;

  readonly #channel: Channel;
  readonly #running = new Running();
  readonly #timeoutMs: number;
  readonly #retry: boolean;

  /**
   * @param options - Where the server is, and how it is called.
   * @throws {TypeError | RangeError} where an option makes no sense.
   */
  constructor(options: ClientOptions = {}) {
    this.address = options.address ?? DEFAULT_ADDRESS;
    checkAddress(this.address);
    this.#timeoutMs = checkTimeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    this.#retry = options.retry ?? true;
    this.#channel = new Channel(this.address, options, options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES);
  }

  /** Closes the connection and cancels what runs on it. May be called twice. */
  close(): void {
    this.#running.close();
    this.#channel.close();
  }

  /** Analyzes one text. */
  async analyze(text: string, options: AnalyzeOptions = {}): Promise<Sentiment> {
    checkAnalyze(options);
    const document = documentMessage(named(text, 0).text);
    const fault = textFault(document.text);
    if (fault !== undefined) {
      throw fault;
    }
    const request = { document, config: analysisConfig(options) };
    const response = await this.#unary(SentimentServiceService.analyzeSentiment, request, options);
    if (response.result === undefined) {
      throw unexpected("the server's answer holds no result");
    }
    return sentimentOf(response.result);
  }

  /**
   * Analyzes documents in one call, which one version answers. The server limits their number (1,024 unless set).
   *
   * @returns An answer for each document, in their order: its sentiment, or the error (not thrown) that says why
   *   there is none.
   */
  async analyzeBatch(documents: Iterable<DocumentInput>, options: AnalyzeOptions = {}): Promise<Answer[]> {
    checkAnalyze(options);
    checkIterable(documents);
    const given = Array.from(documents, named).map(({ id, text }) => ({ id, fault: textFault(text), text }));
    const sent = given.flatMap(({ fault, text }, index) => (fault === undefined ? [documentMessage(text, index)] : []));
    const request = { documents: sent, config: analysisConfig(options) };
    const response =
      sent.length === 0
        ? { results: [] }
        : await this.#unary(SentimentServiceService.batchAnalyzeSentiment, request, options);
    if (response.results.length !== sent.length) {
      throw unexpected(`the server gave ${response.results.length} answers for ${sent.length} documents`);
    }
    const results = response.results.values();
    return given.map(({ id, fault }, index) =>
      answerOf(index, id, fault ?? outcomeOf(results.next().value ?? { outcome: undefined })),
    );
  }

  /**
   * Analyzes documents as they come, in bounded memory. Answers come as soon as they are ready, in any order; match
   * them by `index` or `id`. The input is never read more than `maxInFlight` documents ahead of the answers taken.
   * Where the connection breaks, the documents without an answer are sent again. Leaving the loop cancels what is
   * under way.
   *
   * @returns One answer for each document: its sentiment, or its error (not thrown). Throws where the stream as a whole
   *   fails, and what the input throws, after the answers for what was read until then.
   */
  stream(documents: StreamInput, options: StreamOptions = {}): AsyncGenerator<Answer, void, undefined> {
    checkAnalyze(options);
    checkIterable(documents);
    const timeoutMs = checkTimeout(options.timeoutMs ?? this.#timeoutMs);
    const total = checkTimeout(options.totalTimeoutMs ?? Infinity);
    const maxInFlight = checkInFlight(options.maxInFlight ?? DEFAULT_MAX_IN_FLIGHT);
    return this.#stream(documents, options, timeoutMs, total, maxInFlight);
  }

  /** Lists the models of the server, ordered by name. */
  async listModels(options: CallOptions = {}): Promise<ModelInfo[]> {
    const found: ModelInfo[] = [];
    let pageToken = "";
    do {
      const page = await this.#unary(ModelServiceService.listModels, { pageSize: 0, pageToken }, options);
      found.push(...page.models.map(modelInfo));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return found;
  }

  /** Gets one model. Rejects with MODEL_NOT_FOUND where there is none of that name. */
  async getModel(name: string, options: CallOptions = {}): Promise<ModelInfo> {
    const { model } = await this.#unary(ModelServiceService.getModel, { name }, options);
    if (model === undefined) {
      throw unexpected("the server's answer holds no model");
    }
    return modelInfo(model);
  }

  /**
   * Tells what is so, and then every change as it comes: events of the kind INITIAL, then SYNCED, then the changes.
   * Goes on when the server restarts: it then tells again what is so. Ends when the loop is left or the signal aborts
   * (which throws); with `retry: false` also when the server ends it.
   */
  watchModels(options: WatchOptions = {}): AsyncGenerator<ModelEvent, void, undefined> {
    const timeoutMs = checkTimeout(options.timeoutMs ?? Infinity);
    const names = [...(options.models ?? [])];
    return this.#watch(names, timeoutMs, options);
  }

  /**
   * Asks whether the server, or a service or a model of that name, takes requests. Unlike the other calls it does not
   * wait for a server that is away, unless `retry` is true. A name that the server does not know is SERVICE_UNKNOWN.
   */
  async health(service = "", options: CallOptions = {}): Promise<HealthStatus> {
    try {
      return (await this.#unary(CHECK, { service }, { ...options, retry: options.retry ?? false })).status;
    } catch (failure) {
      if (failure instanceof SentinovaError && failure.code === "NOT_FOUND") {
        return "SERVICE_UNKNOWN";
      }
      throw failure;
    }
  }

  /** Waits until the server takes requests; 60 s unless `timeoutMs` says otherwise. */
  async waitUntilReady(options: Omit<CallOptions, "retry"> = {}): Promise<void> {
    const limits = this.#limits(checkTimeout(options.timeoutMs ?? DEFAULT_READY_TIMEOUT_MS), options.signal, true);
    await persist(limits, async () => {
      const timeoutMs = Math.max(1, Math.min(limits.leftMs, LONGEST_CHECK_MS));
      const check = this.health("", { timeoutMs, signal: options.signal });
      const status = await (timeoutMs < LONGEST_CHECK_MS ? check : check.catch(unanswered));
      if (status !== "SERVING") {
        throw new SentinovaError("UNAVAILABLE", `the server is ${status}`, { reason: "NOT_READY" });
      }
    });
  }

  async #unary<Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    options: CallOptions,
  ): Promise<Response> {
    const timeoutMs = checkTimeout(options.timeoutMs ?? this.#timeoutMs);
    const limits = this.#limits(timeoutMs, options.signal, options.retry);
    return await persist(limits, () => this.#channel.unary(method, request, limits));
  }

  async *#stream(
    documents: StreamInput,
    options: StreamOptions,
    timeoutMs: number,
    totalTimeoutMs: number,
    maxInFlight: number,
  ): AsyncGenerator<Answer, void, undefined> {
    const limits = this.#limits(totalTimeoutMs, options.signal, options.retry);
    const window = new Window(timeoutMs, options.ordered ?? false, () => performance.now());
    const open = () => this.#channel.duplex(SentimentServiceService.streamAnalyzeSentiment, limits);
    yield* new DocumentStream(open, analysisConfig(options), window, limits, maxInFlight).answers(documents);
  }

  async *#watch(
    names: string[],
    timeoutMs: number,
    options: WatchOptions,
  ): AsyncGenerator<ModelEvent, void, undefined> {
    const limits = this.#limits(timeoutMs, options.signal, options.retry);
    const { watchModels } = ModelServiceService;
    const channel = this.#channel;
    yield* watchAgain(limits, async function* () {
      for await (const message of channel.serverStream(watchModels, { names }, limits)) {
        yield modelEvent(message);
      }
    });
  }

  /** Makes the limits of a call that begins now. */
  #limits(timeoutMs: number, signal: AbortSignal | undefined, retry: boolean | undefined): Limits {
    if (this.#running.closed) {
      throw new Error("the client is closed");
    }
    const limits = new Limits(timeoutMs, signal, this.#running, retry ?? this.#retry);
    if (limits.abandoned !== undefined) {
      throw limits.abandoned;
    }
    return limits;
  }
}

/** Gives a word for the state of a server that does not answer a health check, and throws any other error. */
function unanswered(failure: unknown): string {
  if (failure instanceof SentinovaError && failure.code === "DEADLINE_EXCEEDED") {
    return "silent";
  }
  throw failure;
}

/** Throws a TypeError where texts are one string, which is iterable too, or nothing that can be iterated over. */
function checkIterable(documents: unknown): void {
  const iterable =
    typeof documents === "object" &&
    documents !== null &&
    (Symbol.iterator in documents || Symbol.asyncIterator in documents);
  if (!iterable) {
    throw new TypeError("documents must be an iterable of documents, not one");
  }
}
