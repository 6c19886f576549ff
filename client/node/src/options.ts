/*
 * What a caller may choose, for a client and for a call, and the checks of it. Knows plain values; must not know gRPC.
 */

/** TLS to the server, and the client's own certificate where the server asks for one (mutual TLS). All in PEM. */
export interface TlsOptions {
  /** The certificates to trust. Not given: those that Node brings along. */
  readonly ca?: string | Buffer | undefined;
  /** The client's certificate chain. Needs `key`. */
  readonly cert?: string | Buffer | undefined;
  /** The client's private key. Needs `cert`. */
  readonly key?: string | Buffer | undefined;
  /** The name that the server's certificate must carry, where it is not the host of the address. */
  readonly serverName?: string | undefined;
}

/** Settings of a client. */
export interface ClientOptions {
  /** `host:port`, `[v6]:port`, `unix:/path` or `dns:///name:port`. Not given: `127.0.0.1:8001`. */
  readonly address?: string | undefined;
  /** How to secure the connection; `true`: with the well-known certificate authorities. Not given: no TLS. */
  readonly tls?: TlsOptions | boolean | undefined;
  /**
   * Deadline of a call in milliseconds; for a stream, the longest wait for the next answer while documents wait for
   * theirs. `Infinity`: none. Not given: 30,000. A watch of models has none unless the call says so.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Whether a server that is away, still loading or stopping is waited for within the deadline, with growing, jittered
   * waits, and calls that it interrupted are made again. Every call of this client may be made twice without harm. Not
   * given: true.
   */
  readonly retry?: boolean | undefined;
  /** Sent with every call: `{ authorization: "Bearer …" }`. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** Most bytes of one message from the server. Not given: 64 MiB. */
  readonly maxMessageBytes?: number | undefined;
}

/** Settings of one call. */
export interface CallOptions {
  /** Deadline in milliseconds; `Infinity`: none. Not given: the client's. */
  readonly timeoutMs?: number | undefined;
  /** Gives the call up when it aborts: the call fails with code CANCELLED, and the signal's reason as its cause. */
  readonly signal?: AbortSignal | undefined;
  /** Whether a server that is away is waited for. Not given: the client's. */
  readonly retry?: boolean | undefined;
}

/** Which model answers, and how. */
export interface AnalyzeOptions extends CallOptions {
  /** Name of the model. Not given: the server's default. */
  readonly model?: string | undefined;
  /** Version of the model. Not given: what the model's weights choose, or else the highest available. */
  readonly version?: number | undefined;
  /** Label of the version ("stable", "canary"), in place of its number. */
  readonly label?: string | undefined;
  /** What happens to a text of more tokens than the model reads. Not given: "error". */
  readonly longText?: "error" | "truncate" | undefined;
  /** Level of priority, 1 the highest. 0, or not given: the model's default. Models without levels take only 0. */
  readonly priority?: number | undefined;
  /** Where weights choose the version: requests with the same key (of a user, say) get the same one. */
  readonly routingKey?: string | undefined;
}

/** Settings of a stream; `timeoutMs` is the longest wait for the next answer while documents wait for theirs. */
export interface StreamOptions extends AnalyzeOptions {
  /** Deadline of the whole stream in milliseconds. Not given: none. */
  readonly totalTimeoutMs?: number | undefined;
  /** Give the answers in the order of the input, held back where they come early. Not given: false. */
  readonly ordered?: boolean | undefined;
  /** The most documents read from the input and not yet handed out as answers. Not given: 256. */
  readonly maxInFlight?: number | undefined;
}

/** Settings of a watch of models; `timeoutMs` is the deadline of the whole watch. Not given: none. */
export interface WatchOptions extends CallOptions {
  /** Names of the models to watch, whether there are such models yet or not. Not given, or none: all. */
  readonly models?: readonly string[] | undefined;
}

/** A text with the caller's own name for it, which comes back with the answer. */
export interface TextDocument {
  readonly id: string;
  readonly text: string;
}

/** A document to analyze: a text, or a text with a name. */
export type DocumentInput = string | TextDocument;

/** The documents of a stream; may be endless. */
export type StreamInput = AsyncIterable<DocumentInput> | Iterable<DocumentInput>;

export const DEFAULT_ADDRESS = "127.0.0.1:8001";
export const DEFAULT_TIMEOUT_MS = 30_000;
export const DEFAULT_MAX_IN_FLIGHT = 256;
export const DEFAULT_MAX_MESSAGE_BYTES = 64 << 20;

const SCHEMES = ["unix:", "dns:", "ipv4:", "ipv6:"];
const HOST_PORT = /^(\[[^\]]+\]|[^:/[\]]+):(\d{1,5})$/;
const LARGEST_PRIORITY = 2 ** 32 - 1;

/**
 * Checks that an address has a form that gRPC takes.
 *
 * @throws {TypeError} where it has not; the message says what to write.
 */
export function checkAddress(address: string): void {
  if (SCHEMES.some((scheme) => address.startsWith(scheme))) {
    return;
  }
  if (address.includes("://")) {
    throw new TypeError(`"${address}" is a URL; a gRPC address is host:port, without the scheme`);
  }
  const port = Number(HOST_PORT.exec(address)?.[2] ?? 0);
  if (port < 1 || port > 65_535) {
    throw new TypeError(`"${address}" is not an address: write host:port, [ipv6]:port, unix:/path or dns:///host:port`);
  }
}

/** Tells whether an address is on this machine, where an HTTP proxy has no business. */
export function isLocal(address: string): boolean {
  const host = HOST_PORT.exec(address)?.[1];
  return address.startsWith("unix:") || host === "localhost" || host === "[::1]" || /^127(\.\d+){3}$/.test(host ?? "");
}

/**
 * Checks a time limit in milliseconds, and gives it.
 *
 * @throws {RangeError} where it is not above 0.
 */
export function checkTimeout(timeoutMs: number): number {
  if (!(timeoutMs > 0)) {
    throw new RangeError(`a timeout is a number of milliseconds above 0, not ${timeoutMs}`);
  }
  return timeoutMs;
}

/**
 * Checks what a call asks for.
 *
 * @throws {TypeError | RangeError} where it makes no sense, or does not fit into a request.
 */
export function checkAnalyze(options: AnalyzeOptions): void {
  const { version, label, longText, priority = 0 } = options;
  if (version !== undefined && label !== undefined) {
    throw new TypeError("give the version or its label, not both");
  }
  if (version !== undefined && !Number.isSafeInteger(version)) {
    throw new RangeError(`version must be a whole number up to 2^53 - 1, not ${version}`);
  }
  if (longText !== undefined && longText !== "error" && longText !== "truncate") {
    throw new TypeError(`longText must be "error" or "truncate", not ${JSON.stringify(longText)}`);
  }
  if (!Number.isInteger(priority) || priority < 0 || priority > LARGEST_PRIORITY) {
    throw new RangeError(`priority must be a whole number from 0 to ${LARGEST_PRIORITY}, not ${priority}`);
  }
}

/**
 * Checks the limit of unanswered documents of a stream, and gives it.
 *
 * @throws {RangeError} where it is below 1.
 */
export function checkInFlight(count: number): number {
  if (!Number.isInteger(count) || count < 1) {
    throw new RangeError(`maxInFlight must be a whole number above 0, not ${count}`);
  }
  return count;
}
