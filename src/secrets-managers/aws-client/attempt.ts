import { NodeHttpHandler } from '@smithy/node-http-handler';

/** The one sending of one request. */
export interface Attempt {
  /** By the monotonic clock; after it nothing is sent. */
  readonly deadlineMs: number;
  /** Set when the request is handed to the socket: from then on it may have been applied. */
  sent: boolean;
  /** Host and port that it was for; null until the SDK comes with the request. */
  host: string | null;
}

/** The SDK hands its caller's signal down to the handler: so the handler finds the attempt it works for. */
const attempts = new WeakMap<object, Attempt>();

export function bindAttempt(signal: AbortSignal, attempt: Attempt): void {
  attempts.set(signal, attempt);
}

/** The deadline had passed before the request was sent. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError';
}

/**
 * The SDK's HTTP handler with a gate. Between the admission of a write and its sending the SDK may look for credentials
 * and this process may have been stopped: what comes out of that after its deadline is not sent, because by then
 * another worker may hold the claim.
 */
export class GatedHttpHandler extends NodeHttpHandler {
  override async handle(
    ...[request, options]: Parameters<NodeHttpHandler['handle']>
  ): ReturnType<NodeHttpHandler['handle']> {
    const attempt = options?.abortSignal === undefined ? undefined : attempts.get(options.abortSignal);
    if (attempt !== undefined) {
      attempt.host = `${request.hostname}${request.port === undefined ? '' : `:${request.port}`}`;
      if (performance.now() >= attempt.deadlineMs) throw new NotSentError('its time was up');
      attempt.sent = true;
    }
    return super.handle(request, options);
  }
}
