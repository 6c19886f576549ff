/*
 * A gRPC server in this process, which answers as a test tells it to. Knows the stubs and the wire; must not know
 * what a test is about.
 */

import {
  Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
  type StatusObject,
} from "@grpc/grpc-js";

import { Any } from "../src/gen/google/protobuf/any.js";
import { BadRequest, ErrorInfo, RequestInfo, RetryInfo } from "../src/gen/google/rpc/error_details.js";
import { Status } from "../src/gen/google/rpc/status.js";
import {
  type GetModelRequest,
  type GetModelResponse,
  type ListModelsRequest,
  type ListModelsResponse,
  ModelServiceService,
  type WatchModelsRequest,
  type WatchModelsResponse,
} from "../src/gen/sentinova/v1/model_service.js";
import {
  type AnalyzeSentimentRequest,
  type AnalyzeSentimentResponse,
  type BatchAnalyzeSentimentRequest,
  type BatchAnalyzeSentimentResponse,
  SentimentResult,
  SentimentServiceService,
  type StreamAnalyzeSentimentRequest,
  type StreamAnalyzeSentimentResponse,
} from "../src/gen/sentinova/v1/sentiment_service.js";
import { CHECK } from "../src/health.js";
import type { HealthStatus } from "../src/results.js";

type Unary<Request, Response> = (call: ServerUnaryCall<Request, Response>, answer: sendUnaryData<Response>) => void;

/** The server's end of a stream of documents. */
export type StreamEnd = ServerDuplexStream<StreamAnalyzeSentimentRequest, StreamAnalyzeSentimentResponse>;

/** What a test has the server do; every method that it does not give answers UNIMPLEMENTED. */
export interface Behavior {
  analyzeSentiment?: Unary<AnalyzeSentimentRequest, AnalyzeSentimentResponse>;
  batchAnalyzeSentiment?: Unary<BatchAnalyzeSentimentRequest, BatchAnalyzeSentimentResponse>;
  streamAnalyzeSentiment?: (call: StreamEnd) => void;
  listModels?: Unary<ListModelsRequest, ListModelsResponse>;
  getModel?: Unary<GetModelRequest, GetModelResponse>;
  watchModels?: (call: ServerWritableStream<WatchModelsRequest, WatchModelsResponse>) => void;
  check?: Unary<{ service: string }, { status: HealthStatus }>;
}

/** A server that listens. */
export class TestServer {
  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  /** Starts one; port 0: a free one. */
  static async start(behavior: Behavior, port = 0): Promise<TestServer> {
    const server = new Server({ "grpc.max_receive_message_length": -1 });
    const { analyzeSentiment, batchAnalyzeSentiment, streamAnalyzeSentiment } = behavior;
    server.addService(
      SentimentServiceService,
      given({ analyzeSentiment, batchAnalyzeSentiment, streamAnalyzeSentiment }),
    );
    const { listModels, getModel, watchModels } = behavior;
    server.addService(ModelServiceService, given({ listModels, getModel, watchModels }));
    server.addService({ check: CHECK }, given({ check: behavior.check }));
    const bound = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, number) =>
        error === null ? resolve(number) : reject(error),
      );
    });
    return new TestServer(server, bound);
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Breaks all connections, as a server does that is killed. */
  kill(): void {
    this.server.forceShutdown();
  }
}

function given(methods: Readonly<Record<string, unknown>>): never {
  return Object.fromEntries(Object.entries(methods).filter(([, method]) => method !== undefined)) as never;
}

/** Makes a result, of the version that a test likes. */
export function result(label: string, version = 2): SentimentResult {
  return SentimentResult.create({
    label,
    score: 0.75,
    scores: [
      { label, score: 0.75 },
      { label: "other", score: 0.25 },
    ],
    model: { name: "sentiment_en", version },
    tokenCount: 7,
    timings: { queue: { seconds: 1, nanos: 500_000_000 } },
  });
}

/** What an error of the server says beside its code and message. */
export interface Particulars {
  reason?: string;
  metadata?: Record<string, string>;
  field?: string;
  retrySeconds?: number;
  requestId?: string;
}

/** Makes a status with details, as the server does. */
export function statusOf(code: status, message: string, particulars: Particulars = {}): Status {
  const details: Any[] = [];
  const add = (name: string, value: Uint8Array): void => {
    details.push({ typeUrl: `type.googleapis.com/google.rpc.${name}`, value: Buffer.from(value) });
  };
  const { reason, metadata = {}, field, retrySeconds, requestId } = particulars;
  if (reason !== undefined) {
    add("ErrorInfo", ErrorInfo.encode({ reason, domain: "sentinova", metadata }).finish());
  }
  if (field !== undefined) {
    const fieldViolations = [{ field, description: message }];
    add("BadRequest", BadRequest.encode(BadRequest.fromPartial({ fieldViolations })).finish());
  }
  if (retrySeconds !== undefined) {
    const nanos = Math.round((retrySeconds % 1) * 1e9);
    add("RetryInfo", RetryInfo.encode({ retryDelay: { seconds: Math.floor(retrySeconds), nanos } }).finish());
  }
  if (requestId !== undefined) {
    add("RequestInfo", RequestInfo.encode({ requestId, servingData: "" }).finish());
  }
  return { code, message, details };
}

/** Makes the error of a call, as the server does. */
export function failure(code: status, message: string, particulars?: Particulars): Partial<StatusObject> & Error {
  const metadata = new Metadata();
  if (particulars !== undefined) {
    const content = Status.encode(statusOf(code, message, particulars)).finish();
    metadata.set("grpc-status-details-bin", Buffer.from(content));
  }
  return Object.assign(new Error(message), { code, details: message, metadata });
}
