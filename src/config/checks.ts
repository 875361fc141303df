import { scopeNameProblem } from '../ids/index.js';
import type { KeyRing } from '../fernet/key-ring.js';
import type { IdStyle } from '../secrets-managers/port.js';
import { DEFAULT_MANAGER, PROVIDERS, providerOf } from '../secrets-managers/providers.js';
import { bothOrNone } from '../secrets-managers/provider.js';
import type { Problem } from '../setting/setting.js';
import type { SettingName, SettingValues } from './settings.js';

/** Parts of the configuration that some commands need. If one is needed and missing, that is a mistake. */
export type Need = 'keys' | 'kafka';

/** Values of those settings that are well-formed by themselves. */
export type PartialValues = { readonly [N in SettingName]?: SettingValues[N] | undefined };

/** One request that times out must leave room for another, and for the transaction around them. */
const CLAIM_MARGIN_MS = 2_000;
const SOURCE_TOPICS = ['TOPIC_CREATED', 'TOPIC_UPDATED', 'TOPIC_DELETED'] as const;

/**
 * Compares settings with each other. A setting that is wrong by itself is not in `values` but in `failed`; there is no
 * second message about it.
 */
export function crossChecks(
  values: PartialValues,
  failed: ReadonlySet<string>,
  need: readonly Need[],
): Problem[] {
  return [
    ...neededChecks(values, failed, need),
    ...keyChecks(values),
    ...scopeChecks(values),
    ...timeChecks(values),
    ...topicChecks(values),
    ...fileChecks(values),
    ...providerChecks(values),
    ...saslChecks(values, failed),
  ];
}

function neededChecks(values: PartialValues, failed: ReadonlySet<string>, need: readonly Need[]): Problem[] {
  const problems: Problem[] = [];
  if (need.includes('keys') && values.FERNET_KEY == null && !failed.has('FERNET_KEY')) {
    const message = 'is needed and not set; make a key with `connection-secrets generate-key`';
    problems.push({ name: 'FERNET_KEY', message });
  }
  if (need.includes('kafka') && values.KAFKA_BROKERS == null && !failed.has('KAFKA_BROKERS')) {
    problems.push({
      name: 'KAFKA_BROKERS',
      message: 'is needed and not set; such as kafka-1:9092,kafka-2:9092',
    });
  }
  return problems;
}

/**
 * Who can put a token into an event must not get another token opened that he has read elsewhere. So publishers have keys
 * of their own.
 */
function keyChecks(values: PartialValues): Problem[] {
  const publisher = values.PUBLISHER_FERNET_KEY;
  if (publisher == null) return [];
  return sharedKeys('PUBLISHER_FERNET_KEY', publisher, values, OTHER_KEYS).map((where) => ({
    name: 'PUBLISHER_FERNET_KEY',
    message: `${where}; publishers need a key of their own: make one with \`connection-secrets generate-key\` (docs/keys.md)`,
  }));
}

const OTHER_KEYS = ['FERNET_KEY', 'INGESTION_FERNET_KEY', 'DEAD_LETTER_FERNET_KEY'] as const;

/** Which keys of a list are also in other lists: positions, never texts. */
export function sharedKeys(
  name: SettingName,
  ring: KeyRing,
  values: PartialValues,
  others: readonly (typeof OTHER_KEYS)[number][],
): string[] {
  return others
    .filter((other) => other !== name)
    .flatMap((other) =>
      (values[other] == null ? [] : ring.sharedWith(values[other])).map(
        ({ own, others: position }) => `key ${own} is also key ${position} of ${other}`,
      ),
    );
}

function scopeChecks(values: PartialValues): Problem[] {
  const problems: Problem[] = [];
  const { idStyle } = providerOf(values.SECRET_MANAGER ?? DEFAULT_MANAGER);
  for (const name of ['SECRET_MANAGER_PREFIX', 'OPENMETADATA_CLUSTER_NAME'] as const) {
    const given = values[name];
    const problem = given == null ? null : scopeProblem(idStyle, given);
    if (problem !== null) problems.push({ name, message: problem });
  }
  return problems;
}

function scopeProblem(idStyle: IdStyle, name: string): string | null {
  if (name.length > 100) return 'must have at most 100 characters';
  return scopeNameProblem(idStyle, name);
}

function timeChecks({
  CLAIM_MS: claim,
  STORE_TIMEOUT_MS: timeout,
  KAFKA_SESSION_TIMEOUT_MS: session,
  KAFKA_REBALANCE_TIMEOUT_MS: rebalance,
}: PartialValues): Problem[] {
  const problems: Problem[] = [];
  if (claim != null && timeout != null && claim < 2 * timeout + CLAIM_MARGIN_MS) {
    const least = 2 * timeout + CLAIM_MARGIN_MS;
    const message = `must be at least ${least}: twice STORE_TIMEOUT_MS and ${CLAIM_MARGIN_MS}`;
    problems.push({ name: 'CLAIM_MS', message });
  }
  if (session != null && rebalance != null && rebalance < session) {
    const message = `must be at least KAFKA_SESSION_TIMEOUT_MS (${session})`;
    problems.push({ name: 'KAFKA_REBALANCE_TIMEOUT_MS', message });
  }
  return problems;
}

function topicChecks(values: PartialValues): Problem[] {
  const problems: Problem[] = [];
  const taken = new Map<string, string>();
  for (const name of SOURCE_TOPICS) {
    const topic = values[name];
    if (topic != null) taken.set(comparableTopic(topic), name);
  }
  for (const name of ['TOPIC_SECURED', 'TOPIC_DEAD_LETTER'] as const) {
    const topic = values[name];
    if (topic == null) continue;
    const other = taken.get(comparableTopic(topic));
    if (other !== undefined) problems.push({ name, message: `must not be the same topic as ${other}` });
    taken.set(comparableTopic(topic), name);
  }
  return problems;
}

/** Kafka refuses two topics whose names differ in `.` and `_` only. */
function comparableTopic(topic: string): string {
  return topic.replaceAll('.', '_');
}

function fileChecks(values: PartialValues): Problem[] {
  return [
    ...bothOrNone(values, 'KAFKA_SSL_CERT_FILE', 'KAFKA_SSL_KEY_FILE'),
    ...(['KAFKA_SSL_CA_FILE', 'KAFKA_SSL_CERT_FILE', 'KAFKA_SSL_KEY_FILE'] as const)
      .filter((name) => values[name] != null && values.KAFKA_SSL === false)
      .map((name) => ({ name, message: 'is set, but KAFKA_SSL is not true' })),
  ];
}

/** Checks every setting that is set, whichever provider is configured. Providers that share a setting say a thing once. */
function providerChecks(values: PartialValues): Problem[] {
  const scope = {
    manager: values.SECRET_MANAGER ?? DEFAULT_MANAGER,
    prefix: values.SECRET_MANAGER_PREFIX ?? null,
    cluster: values.OPENMETADATA_CLUSTER_NAME ?? '',
  };
  const found = PROVIDERS.flatMap(({ check }) => check?.(values, scope) ?? []);
  return [...new Map(found.map((problem) => [JSON.stringify(problem), problem])).values()];
}

function saslChecks(values: PartialValues, failed: ReadonlySet<string>): Problem[] {
  if (failed.has('KAFKA_SASL_MECHANISM')) return [];
  const mechanism = values.KAFKA_SASL_MECHANISM ?? null;
  const missing = (name: SettingName, why: string): Problem[] =>
    values[name] == null && !failed.has(name) ? [{ name, message: `is needed ${why}` }] : [];
  const superfluous = (names: readonly SettingName[], why: string): Problem[] =>
    names.filter((name) => values[name] != null).map((name) => ({ name, message: `is set, but ${why}` }));
  if (mechanism === 'oauthbearer') {
    return [
      ...superfluous(PASSWORD_SETTINGS, 'KAFKA_SASL_MECHANISM is oauthbearer'),
      ...oauthChecks(values, failed, missing),
    ];
  }
  if (mechanism === null) {
    return superfluous([...PASSWORD_SETTINGS, ...TOKEN_SOURCES], 'KAFKA_SASL_MECHANISM is not');
  }
  return [
    ...missing('KAFKA_SASL_USERNAME', `for KAFKA_SASL_MECHANISM=${mechanism}`),
    ...missing('KAFKA_SASL_PASSWORD', `for KAFKA_SASL_MECHANISM=${mechanism}`),
    ...superfluous(TOKEN_SOURCES, 'KAFKA_SASL_MECHANISM is not oauthbearer'),
  ];
}

const PASSWORD_SETTINGS = ['KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD'] as const;
const TOKEN_SOURCES = [
  'KAFKA_SASL_OAUTHBEARER_TOKEN',
  'KAFKA_SASL_OAUTHBEARER_TOKEN_FILE',
  'KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT',
] as const;

function oauthChecks(
  values: PartialValues,
  failed: ReadonlySet<string>,
  missing: (name: SettingName, why: string) => Problem[],
): Problem[] {
  if (TOKEN_SOURCES.some((name) => failed.has(name))) return [];
  if (TOKEN_SOURCES.filter((name) => values[name] != null).length !== 1) {
    const message = `oauthbearer needs exactly one of ${TOKEN_SOURCES.join(', ')}`;
    return [{ name: 'KAFKA_SASL_MECHANISM', message }];
  }
  if (values.KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT == null) return [];
  return [
    ...missing('KAFKA_SASL_OAUTHBEARER_CLIENT_ID', 'for the token endpoint'),
    ...missing('KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET', 'for the token endpoint'),
  ];
}
