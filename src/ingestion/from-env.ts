import { loadConfig, withSecretFiles } from '../config.js';
import { kafkaSettings } from '../kafka/settings-from-config.js';
import type { ResolverOptions } from './resolver.js';
import type { SubscribeOptions } from './subscribe.js';

/** What {@link ingestionFromEnv} reads. */
export interface IngestionSettings {
  /** For `createResolver`. */
  readonly resolver: ResolverOptions;
  /** All that {@link subscribeSecured} needs, but the resolver. */
  readonly subscription: Pick<SubscribeOptions, 'kafka' | 'groupId' | 'topic'>;
}

const GROUP_ID = 'connection-secrets-ingestion';

/**
 * Settings from environment variables, named as those of the worker (docs/configuration.md): KAFKA_… , TOPIC_SECURED,
 * OM_SM_REGION, OM_SM_ACCESS_KEY_ID, OM_SM_ACCESS_KEY, AWS_ENDPOINT_URL, STORE_TIMEOUT_MS, INGESTION_FERNET_KEY (else
 * FERNET_KEY); LOCAL_VAULT_FILE with FERNET_KEY for the worker's `local` manager. KAFKA_GROUP_ID is `connection-secrets-ingestion` by default.
 *
 * @param env usually `process.env`
 * @throws ConfigurationError listing every mistake by the variable's name, never repeating a variable's text
 */
export function ingestionFromEnv(env: Readonly<Record<string, string | undefined>>): IngestionSettings {
  const config = loadConfig(
    { ...env, KAFKA_GROUP_ID: given(env['KAFKA_GROUP_ID']) ?? GROUP_ID },
    {
      need: ['kafka'],
    },
  );
  const { aws, requestTimeoutMs } = config.secretsManager;
  const { groupId, ...kafka } = kafkaSettings(config);
  const { env: texts } = withSecretFiles(env);
  const fernetKeys = given(texts['INGESTION_FERNET_KEY']) ?? given(texts['FERNET_KEY']);
  const vaultFile = given(env['LOCAL_VAULT_FILE']);
  const vaultKeys = given(texts['FERNET_KEY']);
  return {
    resolver: {
      ...(vaultFile === null || vaultKeys === null ? {} : { local: { vaultFile, fernetKeys: vaultKeys } }),
      ...(fernetKeys === null ? {} : { fernetKeys }),
      aws: {
        ...(aws.region === null ? {} : { region: aws.region }),
        ...(aws.credentials ?? {}),
        ...(aws.secretsManagerEndpoint === null
          ? {}
          : { secretsManagerEndpoint: aws.secretsManagerEndpoint }),
        ...(aws.ssmEndpoint === null ? {} : { ssmEndpoint: aws.ssmEndpoint }),
        requestTimeoutMs,
      },
    },
    subscription: { kafka, groupId, topic: config.topics.secured },
  };
}

/** An empty variable is an unset one. */
function given(text: string | undefined): string | null {
  return text === undefined || text.trim() === '' ? null : text;
}
