/*
 * A stream of documents: read as places get free, sent, answered in any order, and sent again where the connection
 * broke. Knows the streaming call and the window of unanswered documents; must not know how a channel is made.
 */

import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";

import { documentMessage, outcomeOf, textFault, unexpected } from "./conversion.js";
import { SentinovaError } from "./errors.js";
import { Mailbox, Places } from "./flow.js";
import type {
  AnalysisConfig,
  StreamAnalyzeSentimentRequest,
  StreamAnalyzeSentimentResponse,
} from "./gen/sentinova/v1/sentiment_service.js";
import type { Limits } from "./limits.js";
import type { DocumentInput, StreamInput } from "./options.js";
import type { Answer } from "./results.js";
import { Backoff, isInterruption, within } from "./retry.js";
import { errorFromCall } from "./status.js";
import type { Window } from "./window.js";

/** A streaming call. */
export type StreamCall = ClientDuplexStream<StreamAnalyzeSentimentRequest, StreamAnalyzeSentimentResponse>;

const END_WAIT_MS = 1_000; // for the server's end of a call whose documents are all answered

/** One stream of the user, over as many calls as it takes. */
export class DocumentStream {
  readonly #backoff = new Backoff();
  readonly #answers = new Mailbox<Answer>();
  readonly #places: Places;
  #reading = false; // waiting for the input, which may take for ever
  #inputEnded = false;
  #inputFailure: { readonly error: unknown } | undefined;
  #call: StreamCall | undefined;
  #unsent: number[] = []; // indices of the documents that the present call has not been given yet
  #wakeSender = (): void => {};
  #callEnded = (): void => {};
  #reconnection: NodeJS.Timeout | undefined;
  #last: SentinovaError | undefined; // what interrupted the last call, until answers come again
  #over = false;

  /**
   * @param open - Begins a call.
   * @param config - Which model answers, and how.
   * @param window - Holds the unanswered documents.
   * @param limits - Of the whole stream.
   * @param maxInFlight - The most documents read and not yet handed out as answers.
   */
  constructor(
    private readonly open: () => StreamCall,
    private readonly config: AnalysisConfig,
    private readonly window: Window,
    private readonly limits: Limits,
    maxInFlight: number,
  ) {
    this.#places = new Places(maxInFlight);
  }

  /** Reads the input and gives the answers. Leaving the loop cancels the call and closes the input. */
  async *answers(input: StreamInput): AsyncGenerator<Answer, void, undefined> {
    const forget = this.limits.onAbandoned(() => {
      this.#hangUp();
      this.#answers.wake();
    });
    const feeding = this.#feed(input);
    try {
      let answer: Answer | undefined;
      while ((answer = await this.#answers.take(() => this.#patience())) !== undefined) {
        this.#places.release();
        yield answer;
        this.#checkAbandoned();
      }
      await this.#end();
    } finally {
      forget();
      this.#hangUp();
      if (!this.#reading) {
        await feeding; // which closes the input
      }
    }
    if (this.#inputFailure !== undefined) {
      throw this.#inputFailure.error;
    }
  }

  /** Gives how long to wait for the next answer; undefined: none will come. Throws where waiting is over. */
  #patience(): number | undefined {
    this.#checkAbandoned();
    if (this.#inputEnded && this.window.idle) {
      return undefined;
    }
    if (this.limits.leftMs <= 0) {
      throw this.limits.exceeded(this.#last);
    }
    return Math.min(this.limits.leftMs, this.window.patience(this.#last));
  }

  #checkAbandoned(): void {
    if (this.limits.abandoned !== undefined) {
      throw this.limits.abandoned;
    }
  }

  /** Reads the input, a place at a time. What the caller's input throws is kept for the end. */
  async #feed(input: StreamInput): Promise<void> {
    try {
      const iterator = Symbol.asyncIterator in input ? input[Symbol.asyncIterator]() : input[Symbol.iterator]();
      let open = true; // whether the input must be told that no more is read
      try {
        while (await this.#places.take()) {
          open = false;
          this.#reading = true;
          const step = await iterator.next();
          this.#reading = false;
          if (step.done === true) {
            break;
          }
          open = true;
          if (this.#over) {
            break;
          }
          this.#accept(step.value);
        }
      } finally {
        if (open) {
          await iterator.return?.();
        }
      }
    } catch (error) {
      this.#inputFailure = { error };
      this.#reading = false;
    }
    this.#inputEnded = true;
    this.#wakeSender();
    this.#answers.wake();
  }

  #accept(item: DocumentInput): void {
    const index = this.window.admit(item);
    const fault = textFault(this.window.text(index) ?? "");
    if (fault !== undefined) {
      this.#answers.put(...(this.window.settle(index, fault) ?? []));
    } else if (this.#call !== undefined) {
      this.#unsent.push(index);
      this.#wakeSender();
    } else if (this.#reconnection === undefined) {
      this.#connect();
    }
  }

  /** Begins a call, which gets all documents that wait. */
  #connect(): void {
    const call = this.open();
    this.#call = call;
    this.#unsent = this.window.waiting;
    call.on("data", (response: StreamAnalyzeSentimentResponse) => this.#receive(call, response));
    call.on("error", (failure) => this.#ended(call, errorFromCall(failure as ServiceError)));
    call.on("end", () => this.#ended(call, undefined));
    call.on("drain", () => this.#wakeSender());
    void this.#send(call);
  }

  /** Gives a call its documents, as fast as it takes them, until it is over. */
  async #send(call: StreamCall): Promise<void> {
    call.write({ content: { $case: "config", value: this.config } });
    while (this.#call === call) {
      const blocked = call.writableNeedDrain;
      const index = blocked ? undefined : this.#unsent.shift();
      if (index !== undefined) {
        const text = this.window.text(index);
        if (text !== undefined) {
          call.write({ content: { $case: "document", value: documentMessage(text, index) } });
        }
      } else if (this.#inputEnded && !blocked) {
        call.end();
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wakeSender = resolve));
      }
    }
  }

  #receive(call: StreamCall, response: StreamAnalyzeSentimentResponse): void {
    if (this.#call !== call) {
      return; // what comes late on a call that was given up is asked for again
    }
    const index = /^\d+$/.test(response.id) ? Number(response.id) : -1;
    const answers = this.window.settle(index, outcomeOf(response));
    if (answers === undefined) {
      this.#fail(unexpected("the server answered a document that waits for no answer"));
      return;
    }
    this.#backoff.reset();
    this.#last = undefined;
    this.#answers.put(...answers);
  }

  /** Takes in the end of a call: it is over, goes on with another call, or fails. */
  #ended(call: StreamCall, failure: SentinovaError | undefined): void {
    if (this.#call !== call) {
      return;
    }
    this.#call = undefined;
    this.#wakeSender();
    this.#callEnded();
    if (this.#inputEnded && this.window.idle) {
      return;
    }
    if (failure === undefined) {
      const message = "the server ended the stream with documents unanswered";
      this.#fail(new SentinovaError("INTERNAL", message, { reason: "STREAM_CUT" }));
    } else if (this.limits.retry && isInterruption(failure)) {
      this.#reconnectAfter(failure);
    } else {
      this.#fail(failure);
    }
  }

  #reconnectAfter(failure: SentinovaError): void {
    this.#last = failure;
    this.#reconnection = setTimeout(
      () => {
        this.#reconnection = undefined;
        if (!this.window.idle) {
          this.#connect();
        }
      },
      within(this.#backoff.next(failure), this.limits.leftMs),
    );
  }

  #fail(error: SentinovaError): void {
    this.#hangUp();
    this.#answers.fail(error);
  }

  /** Waits a little for the server's end of the call, so that the call does not count as cancelled there. */
  async #end(): Promise<void> {
    if (this.#call !== undefined) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, END_WAIT_MS);
        this.#callEnded = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Ends everything that is under way. */
  #hangUp(): void {
    this.#over = true;
    this.#places.close();
    clearTimeout(this.#reconnection);
    const call = this.#call;
    this.#call = undefined;
    this.#wakeSender();
    this.#callEnded();
    call?.cancel();
  }
}
