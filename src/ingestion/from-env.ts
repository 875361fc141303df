import { loadConfig, withSecretFiles } from '../config.js';
import { SETTINGS } from '../config/settings.js';
import { kafkaSettings } from '../kafka/settings-from-config.js';
import { SecretValue } from '../secret-value.js';
import { PROVIDER_SETTING_NAMES } from '../secrets-managers/providers.js';
import type { ResolverOptions } from './resolver.js';
import type { SubscribeOptions } from './subscribe.js';

/** What {@link ingestionFromEnv} reads. */
export interface IngestionSettings {
  /** For `createResolver`. */
  readonly resolver: ResolverOptions;
  /** For `subscribeSecured`, which also needs the resolver. */
  readonly subscription: Pick<SubscribeOptions, 'kafka' | 'groupId' | 'topic'>;
}

const GROUP_ID = 'connection-secrets-ingestion';

/**
 * Settings from environment variables, named as those of the worker (docs/configuration.md): KAFKA_… , TOPIC_SECURED,
 * those of the stores (OM_SM_REGION, …), STORE_TIMEOUT_MS, INGESTION_FERNET_KEY (else FERNET_KEY); LOCAL_VAULT_FILE with
 * FERNET_KEY for the worker's `local` manager. KAFKA_GROUP_ID is `connection-secrets-ingestion` by default.
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
  const { requestTimeoutMs } = config.secretsManager;
  const { groupId, ...kafka } = kafkaSettings(config);
  const { env: texts } = withSecretFiles(env);
  const fernetKeys = given(texts['INGESTION_FERNET_KEY']) ?? given(texts['FERNET_KEY']);
  const settings = [...PROVIDER_SETTING_NAMES, 'FERNET_KEY' as const].flatMap((name) => {
    const text = given(texts[name]);
    if (text === null) return [];
    return [[name, SETTINGS[name].secret === true ? new SecretValue(text) : text] as const];
  });
  return {
    resolver: {
      ...(fernetKeys === null ? {} : { fernetKeys }),
      settings: Object.fromEntries(settings),
      requestTimeoutMs,
    },
    subscription: { kafka, groupId, topic: config.topics.secured },
  };
}

/** An empty variable is an unset one. */
function given(text: string | undefined): string | null {
  return text === undefined || text.trim() === '' ? null : text;
}
