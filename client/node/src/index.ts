/**
 * The client of Sentinova for Node.js: the sentiment of text from a Sentinova server, over gRPC.
 *
 * Knows the public names and where they live.
 *
 * @packageDocumentation
 */

export { SentinovaClient } from "./client.js";
export {
  type ClientReason,
  type ErrorReason,
  type FieldViolation,
  SentinovaError,
  type ServerReason,
  type StatusCode,
} from "./errors.js";
export type {
  AnalyzeOptions,
  CallOptions,
  ClientOptions,
  DocumentInput,
  StreamInput,
  StreamOptions,
  TextDocument,
  TlsOptions,
  WatchOptions,
} from "./options.js";
export type {
  Answer,
  Comparison,
  ErrorAnswer,
  HealthStatus,
  ModelEvent,
  ModelEventKind,
  ModelInfo,
  Sentiment,
  SentimentAnswer,
  TensorInfo,
  Timings,
  VersionInfo,
  VersionShare,
  VersionState,
} from "./results.js";
export { VERSION } from "./version.js";
