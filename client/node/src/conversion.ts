/*
 * Conversion between the client's plain values and the messages of the sentiment service. Knows both shapes, and
 * nothing else: no calls, no clocks.
 */

import { SentinovaError } from "./errors.js";
import type { Duration } from "./gen/google/protobuf/duration.js";
import {
  AnalysisConfig,
  type Document,
  LongTextPolicy,
  type SentimentResult,
  type StreamAnalyzeSentimentResponse,
} from "./gen/sentinova/v1/sentiment_service.js";
import type { AnalyzeOptions, DocumentInput, TextDocument } from "./options.js";
import type { Answer, Sentiment } from "./results.js";
import { errorFromStatus } from "./status.js";

/** A document, or the error of one that cannot be sent. */
export type Outcome = Sentiment | SentinovaError;

/** Makes the configuration of a call from options that have been checked. */
export function analysisConfig(options: AnalyzeOptions): AnalysisConfig {
  const { version, label } = options;
  const config = AnalysisConfig.create({
    model: options.model ?? "",
    longTextPolicy: options.longText === "truncate" ? LongTextPolicy.TRUNCATE : LongTextPolicy.ERROR,
    priority: options.priority ?? 0,
    routingKey: options.routingKey ?? "",
  });
  if (version !== undefined) {
    config.versionChoice = { $case: "version", value: version };
  } else if (label !== undefined) {
    config.versionChoice = { $case: "label", value: label };
  }
  return config;
}

/**
 * Gives a document with its name; where the caller gave none, it is named by its index.
 *
 * @throws {TypeError} where it is neither a text nor a text with a name.
 */
export function named(item: DocumentInput, index: number): TextDocument {
  if (typeof item === "string") {
    return { id: String(index), text: item };
  }
  if (typeof item !== "object" || item === null || typeof item.id !== "string" || typeof item.text !== "string") {
    throw new TypeError("a document is a string, or an object with the strings id and text");
  }
  return item;
}

/** Gives the message of a document, which travels under its index: callers' names may be long, or not unique. */
export function documentMessage(text: string, index?: number): Document {
  return { id: index === undefined ? "" : String(index), text };
}

/** Gives the error of a text that no Unicode encoding can carry: it would arrive as another text. */
export function textFault(text: string): SentinovaError | undefined {
  const place = text.search(/\p{Surrogate}/u);
  if (place < 0) {
    return undefined;
  }
  const unit = text.charCodeAt(place).toString(16).toUpperCase();
  return new SentinovaError(
    "INVALID_ARGUMENT",
    `the text is not valid Unicode: at ${place} it has U+${unit}, half of a surrogate pair`,
    { reason: "TEXT_NOT_UNICODE" },
  );
}

/** Gives the sentiment that an answer of a batch or a stream holds, or its error. */
export function outcomeOf(answer: Pick<StreamAnalyzeSentimentResponse, "outcome">): Outcome {
  switch (answer.outcome?.$case) {
    case "result":
      return sentimentOf(answer.outcome.value);
    case "error":
      return errorFromStatus(answer.outcome.value);
    default:
      return unexpected("the server's answer holds neither a result nor an error");
  }
}

/** Makes the answer for one document. */
export function answerOf(index: number, id: string, outcome: Outcome): Answer {
  return outcome instanceof SentinovaError ? { index, id, error: outcome } : { index, id, result: outcome };
}

/** Gives a result as a plain value. */
export function sentimentOf(message: SentimentResult): Sentiment {
  return {
    label: message.label,
    score: message.score,
    scores: Object.fromEntries(message.scores.map(({ label, score }) => [label, score])),
    model: message.model?.name ?? "",
    version: message.model?.version ?? 0,
    tokenCount: message.tokenCount,
    truncated: message.truncated,
    timings: {
      tokenizationMs: milliseconds(message.timings?.tokenization),
      queueMs: milliseconds(message.timings?.queue),
      inferenceMs: milliseconds(message.timings?.inference),
    },
  };
}

/** Makes the error of a server that breaks the rules of the API. */
export function unexpected(message: string): SentinovaError {
  return new SentinovaError("INTERNAL", message, { reason: "UNEXPECTED_ANSWER" });
}

function milliseconds(duration: Duration | undefined): number {
  return duration === undefined ? 0 : duration.seconds * 1000 + duration.nanos / 1e6;
}
