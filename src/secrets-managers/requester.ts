import { onAbort } from './write-limiter.js';
import { failure, type Failure, type StoreCall } from './port.js';
import type { ManagerDeps } from './settings.js';

/** The one sending of one request. */
export interface Attempt {
  /** By the monotonic clock; after it nothing is sent. */
  readonly deadlineMs: number;
  /** Set when the request is handed to the socket: from then on it may have been applied. */
  sent: boolean;
  /** Host and port that it was for; null until the SDK comes with the request. */
  host: string | null;
}

/** A client hands its caller's signal down to what sends: so that finds the attempt it works for. */
const attempts = new WeakMap<object, Attempt>();

function bindAttempt(signal: AbortSignal, attempt: Attempt): void {
  attempts.set(signal, attempt);
}

/** @param signal of the caller */
export function attemptOf(signal: object): Attempt | undefined {
  return attempts.get(signal);
}

/** The deadline had passed before the request was sent. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError';
}

/** A request that failed, classified. */
export interface RequestFailure {
  readonly ok: false;
  /** Name of the error, for branching, logs and metrics. */
  readonly name: string;
  readonly throttled: boolean;
  readonly failure: Failure;
}

export type Answer<T> = { readonly ok: true; readonly value: T } | RequestFailure;

/** Sends one command with the given options: `(options) => client.send(command, options)`. */
export type Send<T> = (options: { abortSignal: AbortSignal }) => Promise<T>;

/** Whether an answer has what the service always sends with it. */
export type IsComplete<T> = (answer: T) => boolean;

/** Of calls whose answer is empty by its definition. */
export const hasNothing = (): boolean => true;

export const INCOMPLETE_ANSWER = 'IncompleteAnswer';

export interface RequesterOptions extends Pick<ManagerDeps, 'onRequest' | 'onThrottle'> {
  /** The class of what a request threw; `sent`: whether it may have left this process. */
  readonly classify: (
    call: string,
    error: unknown,
    facts: { readonly host: string | null; readonly sent: boolean },
  ) => RequestFailure;
  /** Where it was asked, for messages: ` at host`. */
  readonly placeText: (host: string | null) => string;
  /** The service does not take the credentials a request was signed with. */
  readonly onCredentialsRefused?: () => void;
}

class DeadlineError extends Error {
  override readonly name = 'TimeoutError';
}

class CallAbortedError extends Error {
  override readonly name = 'AbortError';
}

/**
 * Sends requests to a store one attempt at a time: admitted before it is sent if it writes, ended at its deadline or when
 * the caller aborts, timed, counted, and classified when it fails.
 */
export class Requester {
  readonly #provider: string;
  readonly #timeoutMs: number;
  readonly #options: RequesterOptions;

  constructor(provider: string, timeoutMs: number, options: RequesterOptions) {
    this.#provider = provider;
    this.#timeoutMs = timeoutMs;
    this.#options = options;
  }

  read<T>(callName: string, call: StoreCall, send: Send<T>, isComplete: IsComplete<T>): Promise<Answer<T>> {
    return this.#attempt(callName, call, send, isComplete);
  }

  /** Throws only what `admitWrite` throws. */
  async write<T>(
    callName: string,
    call: StoreCall,
    send: Send<T>,
    isComplete: IsComplete<T>,
  ): Promise<Answer<T>> {
    if (call.signal.aborted) return this.#notBegun(callName);
    await call.admitWrite();
    const answer = await this.#attempt(callName, call, send, isComplete);
    if (!answer.ok && answer.throttled) this.#options.onThrottle?.();
    return answer;
  }

  async #attempt<T>(
    callName: string,
    call: StoreCall,
    send: Send<T>,
    isComplete: IsComplete<T>,
  ): Promise<Answer<T>> {
    if (call.signal.aborted) return this.#notBegun(callName);
    const startedMs = performance.now();
    const attempt: Attempt = { deadlineMs: startedMs + this.#timeoutMs, sent: false, host: null };
    let answer: Answer<T>;
    try {
      const value = await this.#raced(call.signal, attempt, send);
      answer = isComplete(value) ? { ok: true, value } : this.#incomplete(callName, attempt);
    } catch (error) {
      answer = this.#options.classify(callName, error, attempt);
      if (answer.failure.error.class === 'credentials') this.#options.onCredentialsRefused?.();
    }
    this.#options.onRequest?.({
      provider: this.#provider,
      call: callName,
      result: answer.ok ? 'ok' : answer.name,
      durationMs: performance.now() - startedMs,
    });
    return answer;
  }

  /** The SDK hears of the end by its signal, but may be busy elsewhere (credentials): it is not waited for. */
  async #raced<T>(signal: AbortSignal, attempt: Attempt, send: Send<T>): Promise<T> {
    const controller = new AbortController();
    bindAttempt(controller.signal, attempt);
    let end: (reason: Error) => void = () => undefined;
    const ended = new Promise<never>((_resolve, reject) => {
      end = (reason) => {
        reject(reason);
        controller.abort();
      };
    });
    const timer = setTimeout(() => {
      end(attempt.sent ? new DeadlineError('its time is up') : new NotSentError('its time was up'));
    }, this.#timeoutMs);
    const stopListening = onAbort(signal, () => {
      end(new CallAbortedError('aborted by the caller'));
    });
    try {
      return await Promise.race([send({ abortSignal: controller.signal }), ended]);
    } finally {
      clearTimeout(timer);
      stopListening();
    }
  }

  #notBegun(callName: string): RequestFailure {
    const error = new CallAbortedError('aborted by the caller');
    return this.#options.classify(callName, error, { host: null, sent: false });
  }

  /**
   * An answer that lacks what the service always sends comes from something else (a proxy, an emulator): what it says is
   * not believed, and of a write nobody knows whether it was carried out.
   */
  #incomplete(callName: string, { host }: Attempt): RequestFailure {
    const message =
      `${this.#provider}: ${callName} was answered${this.#options.placeText(host)} with success, without what that ` +
      'answer always has: check what answers there';
    const failed = failure('transient', message, { applied: 'unknown' });
    return { ok: false, name: INCOMPLETE_ANSWER, throttled: false, failure: failed };
  }
}
