/*
 * The standard health service, grpc.health.v1.Health/Check. Its two messages have one field each, which is written and
 * read here, so that the package needs no stubs of it. Knows the wire format; must not make a call.
 */

import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import type { MethodDefinition } from "@grpc/grpc-js";

import type { HealthStatus } from "./results.js";

const STATUSES: readonly HealthStatus[] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const FIELD = 1;
const LENGTH_DELIMITED = 2;
const VARINT = 0;

/** Asks for the health of a service by its name; "" is the server as a whole. */
export const CHECK: MethodDefinition<{ service: string }, { status: HealthStatus }> = {
  path: "/grpc.health.v1.Health/Check",
  requestStream: false,
  responseStream: false,
  requestSerialize: ({ service }) => finished(new BinaryWriter().tag(FIELD, LENGTH_DELIMITED).string(service)),
  requestDeserialize: (content) => ({ service: readField(content, "", (reader) => reader.string()) }),
  responseSerialize: ({ status }) => finished(new BinaryWriter().tag(FIELD, VARINT).int32(STATUSES.indexOf(status))),
  responseDeserialize: (content) => ({
    status: STATUSES[readField(content, 0, (reader) => reader.int32())] ?? "UNKNOWN",
  }),
};

function finished(writer: BinaryWriter): Buffer {
  return Buffer.from(writer.finish());
}

function readField<T>(content: Uint8Array, absent: T, read: (reader: BinaryReader) => T): T {
  const reader = new BinaryReader(content);
  let value = absent;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === FIELD) {
      value = read(reader);
    } else {
      reader.skip(wireType);
    }
  }
  return value;
}
