import { NodeHttpHandler } from '@smithy/node-http-handler';
import { attemptOf, NotSentError } from '../requester.js';

/**
 * The SDK's HTTP handler with a gate. Between the admission of a write and its sending the SDK may look for credentials
 * and this process may have been stopped: what comes out of that after its deadline is not sent, because by then
 * another worker may hold the claim.
 */
export class GatedHttpHandler extends NodeHttpHandler {
  override async handle(
    ...[request, options]: Parameters<NodeHttpHandler['handle']>
  ): ReturnType<NodeHttpHandler['handle']> {
    const attempt = options?.abortSignal === undefined ? undefined : attemptOf(options.abortSignal);
    if (attempt !== undefined) {
      attempt.host = `${request.hostname}${request.port === undefined ? '' : `:${request.port}`}`;
      if (performance.now() >= attempt.deadlineMs) throw new NotSentError('its time was up');
      attempt.sent = true;
    }
    return super.handle(request, options);
  }
}
