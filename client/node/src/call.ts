/*
 * Calls on a channel, one attempt each. Knows grpc-js's calls and makes promises and errors of this client of them;
 * must not know what is asked, nor when to ask again.
 */

import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type MethodDefinition,
  type ServiceError,
} from "@grpc/grpc-js";

import { callMetadata, channelCredentials, channelOptions } from "./connection.js";
import type { Limits } from "./limits.js";
import type { ClientOptions } from "./options.js";
import { errorFromCall } from "./status.js";

/** A channel to a server. */
export class Channel {
  readonly #client: Client;
  readonly #metadata;

  constructor(address: string, options: ClientOptions, maxMessageBytes: number) {
    const { tls, metadata = {} } = options;
    this.#metadata = callMetadata(metadata);
    this.#client = new Client(address, channelCredentials(tls), channelOptions(address, tls, maxMessageBytes));
  }

  /** Closes the connection. Calls that wait for it fail. */
  close(): void {
    this.#client.close();
  }

  /** Makes a unary call. Rejects with a SentinovaError. */
  async unary<Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    limits: Limits,
  ): Promise<Response> {
    try {
      return await this.#request(method, request, limits);
    } catch (failure) {
      throw toError(failure); // made here, its stack leads to the caller
    }
  }

  #request<Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    limits: Limits,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        this.#metadata,
        { deadline: limits.deadline },
        (failure, response) => {
          forget();
          if (failure !== null) {
            reject(failure);
          } else {
            resolve(response as Response);
          }
        },
      );
      const forget = limits.onAbandoned(() => call.cancel());
    });
  }

  /** Gives what a server streams. Throws a SentinovaError where the call fails; ending the loop cancels it. */
  async *serverStream<Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    limits: Limits,
  ): AsyncGenerator<Response, void, undefined> {
    const call: ClientReadableStream<Response> = this.#client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      this.#metadata,
      { deadline: limits.deadline },
    );
    call.on("error", () => {}); // A call that is cancelled when nobody listens any more must not end the process.
    const forget = limits.onAbandoned(() => call.cancel());
    try {
      for await (const response of call) {
        yield response as Response;
      }
    } catch (failure) {
      throw toError(failure);
    } finally {
      forget();
      call.cancel();
    }
  }

  /** Opens a call with streams in both directions. */
  duplex<Request, Response>(
    method: MethodDefinition<Request, Response>,
    limits: Limits,
  ): ClientDuplexStream<Request, Response> {
    return this.#client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      this.#metadata,
      { deadline: limits.deadline },
    );
  }
}

function toError(failure: unknown): unknown {
  const fromCall = failure instanceof Error && "code" in failure && "details" in failure;
  return fromCall ? errorFromCall(failure as ServiceError) : failure;
}
