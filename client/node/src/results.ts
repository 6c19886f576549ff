/*
 * What the server answers, as plain typed values. Knows the shape of answers; must not know gRPC or protobuf.
 */

import type { SentinovaError } from "./errors.js";

/** Where the time of one document went, in milliseconds, as the server measured it. */
export interface Timings {
  /** Turning the text into token ids. */
  readonly tokenizationMs: number;
  /** Waiting for a free place in a batch. */
  readonly queueMs: number;
  /** Running the model on the batch that held the document. */
  readonly inferenceMs: number;
}

/** The sentiment of one document. */
export interface Sentiment {
  /** The class with the highest score, as the model names it. */
  readonly label: string;
  /** The score of `label`, from 0 to 1. */
  readonly score: number;
  /** Every class with its score; they sum to 1. */
  readonly scores: Readonly<Record<string, number>>;
  /** Name of the model that answered. */
  readonly model: string;
  /** Version of the model that answered. */
  readonly version: number;
  /** Number of tokens that the model read, special tokens included. */
  readonly tokenCount: number;
  /** Whether the text was longer than the model reads and its end was left out. */
  readonly truncated: boolean;
  /** Where the time went. */
  readonly timings: Timings;
}

/** A document that was answered with its sentiment. */
export interface SentimentAnswer {
  /** Position of the document in the input, from 0. */
  readonly index: number;
  /** The caller's name for the document; the index as text where the caller gave none. */
  readonly id: string;
  /** The sentiment. */
  readonly result: Sentiment;
  readonly error?: undefined;
}

/** A document that was answered with an error, which concerns this document alone. */
export interface ErrorAnswer {
  /** Position of the document in the input, from 0. */
  readonly index: number;
  /** The caller's name for the document; the index as text where the caller gave none. */
  readonly id: string;
  /** Why there is no sentiment. */
  readonly error: SentinovaError;
  readonly result?: undefined;
}

/** The answer for one document of a batch or a stream: it has a `result` or an `error`. */
export type Answer = SentimentAnswer | ErrorAnswer;

/** Where a model version is in its life. UNKNOWN: a state that this client is too old to know. */
export type VersionState = "LOADING" | "AVAILABLE" | "UNLOADING" | "END" | "FAILED" | "UNKNOWN";

/** An input or output of a model. */
export interface TensorInfo {
  /** Name of the tensor in the model file. */
  readonly name: string;
  /** Element type in KServe v2 words: "INT64", "FP32", … */
  readonly datatype: string;
  /** Size of each dimension; -1: any size. */
  readonly shape: readonly number[];
}

/** One version of a model. */
export interface VersionInfo {
  /** Number of the version, 1 or more. */
  readonly version: number;
  /** Where the version is in its life. */
  readonly state: VersionState;
  /** Why it is in this state, where there is something to say. */
  readonly stateMessage: string;
  /** When it entered this state; undefined where the server does not tell. */
  readonly stateTime: Date | undefined;
  /** Inputs of the model file; empty until it has been read. */
  readonly inputs: readonly TensorInfo[];
  /** Outputs of the model file; empty until it has been read. */
  readonly outputs: readonly TensorInfo[];
  /** Names of the classes, in the order of the model's output. */
  readonly labels: readonly string[];
  /** The most tokens that it reads of one text, special tokens included. */
  readonly maxTokens: number;
  /** Format of the model files: "paddle" or "openvino". */
  readonly format: string;
  /** What it computes in: "f32", "bf16" or "int8"; empty until it has been compiled. */
  readonly precision: string;
  /** Bytes that its weights take up in memory; 0 until it has been compiled. */
  readonly memoryBytes: number;
  /** The labels that name this version, in alphabetic order. */
  readonly versionLabels: readonly string[];
  /** Percent of the requests without a version that go to it; 0 where the model has no weights. */
  readonly weight: number;
}

/** A version's share of the requests that ask for none. */
export interface VersionShare {
  /** Number of the version. */
  readonly version: number;
  /** Its share, from 0 to 100. */
  readonly percent: number;
}

/** How the answers of a version compare with those that were given for the same documents. */
export interface Comparison {
  /** The version whose answers are compared. */
  readonly version: number;
  /** The version that they are compared with. */
  readonly baseline: number;
  /** Documents compared. */
  readonly documents: number;
  /** Those that both gave the same label. */
  readonly agreed: number;
  /** Mean of the distances: the largest difference of a class's probability, from 0 to 1. */
  readonly meanDistance: number;
  /** Largest of the distances. */
  readonly maxDistance: number;
  /** Time of `version` in the model for a token, over that of `baseline`; 0 until there are documents. */
  readonly latencyRatio: number;
  /** Documents not compared, as there was no time for it beside the live ones. */
  readonly dropped: number;
  /** Documents that one of the two failed on. */
  readonly failed: number;
  /** Whether `version` gives answers to clients (a canary) or to nobody (a shadow). */
  readonly live: boolean;
}

/** A model of the server's repository. */
export interface ModelInfo {
  /** Name of the model. */
  readonly name: string;
  /** The backend that runs it: "openvino". */
  readonly backend: string;
  /** The version that answers where a request names none; undefined where no version is available. */
  readonly defaultVersion: number | undefined;
  /** The versions that the version policy chose, in ascending order. */
  readonly versions: readonly VersionInfo[];
  /** What is wrong with the model as a whole, where something is. */
  readonly message: string;
  /** Shares of the requests that ask for no version; empty: the default version gets all. */
  readonly weights: readonly VersionShare[];
  /** The version that computes unseen what others answer; undefined: none. */
  readonly shadowVersion: number | undefined;
  /** Comparisons of the shadow, or of canaries, with what was answered. */
  readonly comparisons: readonly Comparison[];
  /** Whether the model is loaded, or to be loaded. */
  readonly loaded: boolean;
}

/**
 * What an event tells: how things were when the watch began (INITIAL), that all of this has been told (SYNCED), or a
 * change. UNKNOWN: a kind that this client is too old to know.
 */
export type ModelEventKind = "INITIAL" | "SYNCED" | "STATE" | "TRAFFIC" | "ROLLBACK" | "WARNING" | "UNKNOWN";

/** What a watch of models tells. */
export interface ModelEvent {
  /** What this tells. */
  readonly kind: ModelEventKind;
  /** Name of the model; empty for SYNCED. */
  readonly model: string;
  /** Number of the version; undefined: the model as a whole. */
  readonly version: number | undefined;
  /** The state that the version is in; undefined where there is no version. */
  readonly state: VersionState | undefined;
  /** Why, in words, where there is something to say. */
  readonly message: string;
  /** When it came to be; undefined where the server does not tell. */
  readonly time: Date | undefined;
  /** The version that answers by default after this; undefined: none does. */
  readonly defaultVersion: number | undefined;
}

/**
 * Whether a server, a service or a model takes requests, in the words of `grpc.health.v1.Health`. UNKNOWN is also what
 * this client is too old to know.
 */
export type HealthStatus = "UNKNOWN" | "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";
