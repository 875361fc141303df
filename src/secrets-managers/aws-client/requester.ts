import { Requester, type RequesterOptions } from '../requester.js';
import { classify, placeText } from './errors.js';

/** @param region for messages */
export function awsRequester(
  provider: string,
  timeoutMs: number,
  { region, ...options }: Omit<RequesterOptions, 'classify' | 'placeText'> & { readonly region?: string },
): Requester {
  return new Requester(provider, timeoutMs, {
    ...options,
    classify: (call, error, facts) => classify(provider, call, error, { ...facts, region }),
    placeText: (host) => placeText({ host, region }),
  });
}
