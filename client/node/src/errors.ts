/*
 * The error of this client. Knows status codes and the server's reasons; must not know gRPC's types or protobuf:
 * status.ts reads the server's details into this class.
 */

/** The names of gRPC's status codes, each at the place of its number. */
export const STATUS_CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** The name of a gRPC status code that stands for a failure. */
export type StatusCode = Exclude<(typeof STATUS_CODES)[number], "OK">;

/** The causes that a server of this version names. */
export type ServerReason =
  | "TEXT_EMPTY"
  | "TEXT_TOO_LONG"
  | "INVALID_FIELD"
  | "MODEL_NOT_FOUND"
  | "VERSION_NOT_FOUND"
  | "LABEL_NOT_FOUND"
  | "MODEL_FAILED"
  | "MODEL_CONTROL_DISABLED"
  | "VERSION_NOT_AVAILABLE"
  | "LAST_VERSION"
  | "NO_PREVIOUS_VERSION"
  | "MODEL_LOADING"
  | "SERVER_DRAINING"
  | "QUEUE_FULL"
  | "MEMORY_BUDGET"
  | "WATCH_TOO_SLOW"
  | "DEADLINE_EXCEEDED"
  | "INFERENCE_FAILED"
  | "INTERNAL";

/** The causes that this client names itself. */
export type ClientReason =
  /** A text holds half of a surrogate pair, which no Unicode encoding can carry. */
  | "TEXT_NOT_UNICODE"
  /** The server answered something that nobody asked for. */
  | "UNEXPECTED_ANSWER"
  /** The server ended a stream while documents waited for their answers. */
  | "STREAM_CUT"
  /** The client was closed while the call was under way. */
  | "CLIENT_CLOSED"
  /** The server was not ready in time. */
  | "NOT_READY";

/** Why a call or a document failed. Servers of a later version may give others. */
export type ErrorReason = ServerReason | ClientReason | (string & {});

/** A field of the request that the server refused. */
export interface FieldViolation {
  /** Path of the field in the request message: `documents[2].text`. */
  readonly field: string;
  /** What is wrong with it. */
  readonly description: string;
}

/** What is known of a failure beside its code and its message. */
export interface ErrorDetails {
  readonly reason?: ErrorReason | undefined;
  readonly fieldViolations?: readonly FieldViolation[] | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly requestId?: string | undefined;
  readonly cause?: unknown;
}

/**
 * A call, or one document of a call, that failed.
 *
 * @example
 * ```ts
 * if (error instanceof SentinovaError && error.reason === "MODEL_NOT_FOUND") …
 * ```
 */
export class SentinovaError extends Error {
  static {
    // On the prototype, so that the stack begins with it.
    this.prototype.name = "SentinovaError";
  }

  /** The gRPC status code, by name. */
  readonly code: StatusCode;

  /** The cause in UPPER_SNAKE_CASE; undefined where none was named. */
  readonly reason: ErrorReason | undefined;

  /** Path of the request's field at fault, the first where there are several; undefined where none is. */
  readonly field: string | undefined;

  /** All fields of the request that are at fault. */
  readonly fieldViolations: readonly FieldViolation[];

  /** Particulars of the reason: `{ model: "sentiment_en" }`. */
  readonly metadata: Readonly<Record<string, string>>;

  /** Milliseconds to wait before trying again; undefined where the server did not say that waiting helps. */
  readonly retryAfterMs: number | undefined;

  /** The request's name in the server's log; undefined where the server gave none. */
  readonly requestId: string | undefined;

  /** Made by the client; there is no need to make one yourself. */
  constructor(code: StatusCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.reason = details.reason;
    this.fieldViolations = details.fieldViolations ?? [];
    this.field = this.fieldViolations[0]?.field;
    this.metadata = details.metadata ?? {};
    this.retryAfterMs = details.retryAfterMs;
    this.requestId = details.requestId;
  }
}
