import { defaultProvider } from '@aws-sdk/credential-provider-node';
import { NO_LOG } from './no-log.js';
import type { AwsSettings } from './settings.js';

type Provider = ReturnType<typeof defaultProvider>;
type Credentials = Awaited<ReturnType<Provider>>;

/** What a client signs with. */
export interface AwsCredentials {
  readonly credentials: Credentials | Provider;
  /** The service has refused them: where they come from is looked at anew before the next request. */
  readonly renew: () => void;
}

/** The SDK asks its provider again where less than five minutes are left; so here, each time. */
const ASK_EACH_TIME = new Date(0);
/** What is left of credentials that expire when they are looked up anew. */
const RENEW_BEFORE_MS = 300_000;

/** The configured keys, else those of the SDK's default chain (environment, profile, role of a pod or an instance …). */
export function awsCredentials({
  credentials: configured,
}: Pick<AwsSettings, 'credentials'>): AwsCredentials {
  if (configured === null) return chainCredentials();
  const { accessKeyId, secretAccessKey } = configured;
  return {
    credentials: { accessKeyId, secretAccessKey: secretAccessKey.reveal() },
    renew: () => undefined,
  };
}

/**
 * The SDK by itself keeps what has no expiry (a profile's file that somebody renews from outside) for as long as the
 * process lives, and the file's contents with it: renewed credentials would need a restart.
 */
function chainCredentials(): AwsCredentials {
  let known: Credentials | null = null;
  return {
    credentials: async (properties) => {
      if (known === null || isNearlyOver(known))
        known = await defaultProvider({ ignoreCache: true, logger: NO_LOG })(properties);
      return { ...known, expiration: known.expiration ?? ASK_EACH_TIME };
    },
    renew: () => {
      known = null;
    },
  };
}

function isNearlyOver({ expiration }: Credentials): boolean {
  return expiration !== undefined && expiration.getTime() - Date.now() < RENEW_BEFORE_MS;
}
