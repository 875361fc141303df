import { ConfigurationError } from '../../errors.js';
import { GatedHttpHandler } from './attempt.js';
import type { AwsCredentials } from './credentials.js';
import { NO_LOG } from './no-log.js';
import type { AwsSettings } from './settings.js';

/** Connections a store opens at most: events that write at the same time, each with several values. Those beyond it wait. */
const MAX_SOCKETS = 256;

/** The SDK configuration that both AWS stores share. Makes no call and opens no connection. */
export function awsClientConfig(settings: AwsSettings, { credentials }: AwsCredentials) {
  const { region, endpointUrl, requestTimeoutMs } = settings;
  const agent = { keepAlive: true, maxSockets: MAX_SOCKETS };
  return {
    ...(region === null ? {} : { region }),
    ...(endpointUrl === null ? {} : { endpoint: endpointUrl }),
    credentials,
    // Each attempt is the caller's: it checks its claim before the next one.
    maxAttempts: 1,
    logger: NO_LOG,
    requestHandler: new GatedHttpHandler({
      connectionTimeout: Math.min(2_000, requestTimeoutMs),
      requestTimeout: requestTimeoutMs,
      throwOnRequestTimeout: true,
      socketTimeout: requestTimeoutMs,
      httpAgent: agent,
      httpsAgent: agent,
      logger: NO_LOG,
    }),
  };
}

/**
 * The region the SDK settled on.
 *
 * @throws ConfigurationError CONFIG_INVALID where there is none: found at start instead of at the first request
 */
export async function resolveRegion(region: () => Promise<string>): Promise<string> {
  try {
    return await region();
  } catch {
    throw new ConfigurationError(
      'CONFIG_INVALID',
      'OM_SM_REGION: no AWS region is configured. Set OM_SM_REGION or AWS_REGION.',
    );
  }
}
