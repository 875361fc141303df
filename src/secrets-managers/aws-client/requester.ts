import { onAbort } from '../write-limiter.js';
import { bindAttempt, NotSentError, type Attempt } from './attempt.js';
import { classify, incompleteAnswer, type AskedAt, type AwsFailure } from './errors.js';
import type { StoreCall } from '../port.js';
import type { ManagerDeps } from '../settings.js';

export type Answer<T> = { readonly ok: true; readonly value: T } | AwsFailure;

/** Sends one command with the given options: `(options) => client.send(command, options)`. */
export type Send<T> = (options: { abortSignal: AbortSignal }) => Promise<T>;

/** Whether an answer has what the service always sends with it. */
export type IsComplete<T> = (answer: T) => boolean;

/** Of calls whose answer is empty by its definition. */
export const hasNothing = (): boolean => true;

export interface RequesterOptions extends Pick<ManagerDeps, 'onRequest' | 'onThrottle'> {
  /** For messages. */
  readonly region?: string;
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
 * Sends requests to AWS one attempt at a time: admitted before it is sent if it writes, ended at its deadline or when
 * the caller aborts, timed, counted, and classified when it fails.
 */
export class AwsRequester {
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
      answer = isComplete(value)
        ? { ok: true, value }
        : incompleteAnswer(this.#provider, callName, this.#at(attempt));
    } catch (error) {
      answer = classify(this.#provider, callName, error, { ...this.#at(attempt), sent: attempt.sent });
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

  #notBegun(callName: string): AwsFailure {
    const error = new CallAbortedError('aborted by the caller');
    return classify(this.#provider, callName, error, { ...this.#at({ host: null }), sent: false });
  }

  #at({ host }: Pick<Attempt, 'host'>): AskedAt {
    return { region: this.#options.region, host };
  }
}
