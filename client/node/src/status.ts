/*
 * Reading of google.rpc.Status: from what travels on the wire to the error of the client. Knows the error details of
 * the API (ErrorInfo, BadRequest, RetryInfo, RequestInfo); must not know calls.
 */

import type { ServiceError } from "@grpc/grpc-js";

import { type ErrorDetails, SentinovaError, STATUS_CODES, type StatusCode } from "./errors.js";
import type { Any } from "./gen/google/protobuf/any.js";
import { BadRequest, ErrorInfo, RequestInfo, RetryInfo } from "./gen/google/rpc/error_details.js";
import { Status } from "./gen/google/rpc/status.js";

const DETAILS_KEY = "grpc-status-details-bin";
// grpc-js ends some of its messages with a heading that nothing follows.
const EMPTY_NOTE = /\.? Resolution note: $/;

/** Makes the error that a `google.rpc.Status` describes. Details of unknown kinds are passed over. */
export function errorFromStatus(status: Status): SentinovaError {
  let details: ErrorDetails = {};
  for (const detail of status.details) {
    try {
      details = { ...details, ...read(detail) };
    } catch {
      // A damaged detail must not hide the failure itself.
    }
  }
  return new SentinovaError(codeName(status.code), status.message, details);
}

/** Makes the error of a failed call, with or without details. */
export function errorFromCall(failure: ServiceError): SentinovaError {
  const status = statusOf(failure);
  if (status !== undefined) {
    return errorFromStatus(status);
  }
  const message = failure.details.replace(EMPTY_NOTE, "");
  return new SentinovaError(codeName(failure.code), message || "the server gave no reason");
}

function statusOf(failure: ServiceError): Status | undefined {
  // An error that gRPC makes itself may come without metadata.
  const [content] = (failure.metadata as ServiceError["metadata"] | undefined)?.get(DETAILS_KEY) ?? [];
  if (!Buffer.isBuffer(content)) {
    return undefined;
  }
  try {
    return Status.decode(content);
  } catch {
    return undefined; // Damaged details from a stranger must not hide the failure itself.
  }
}

function read(detail: Any): ErrorDetails {
  switch (detail.typeUrl.slice(detail.typeUrl.lastIndexOf("/") + 1)) {
    case "google.rpc.ErrorInfo": {
      const info = ErrorInfo.decode(detail.value);
      return { reason: info.reason, metadata: info.metadata };
    }
    case "google.rpc.BadRequest": {
      const violations = BadRequest.decode(detail.value).fieldViolations;
      return { fieldViolations: violations.map(({ field, description }) => ({ field, description })) };
    }
    case "google.rpc.RetryInfo": {
      const delay = RetryInfo.decode(detail.value).retryDelay;
      return delay === undefined ? {} : { retryAfterMs: delay.seconds * 1000 + delay.nanos / 1e6 };
    }
    case "google.rpc.RequestInfo":
      return { requestId: RequestInfo.decode(detail.value).requestId };
    default:
      return {};
  }
}

function codeName(code: number): StatusCode {
  const name = STATUS_CODES[code];
  return name === undefined || name === "OK" ? "UNKNOWN" : name;
}
