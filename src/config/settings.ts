import type { z } from 'zod';
import { ACTOR_FORM, ACTOR_NAME } from '../operator.js';
import {
  MANAGER_ALIASES,
  MANAGER_NAMES,
  PROVIDER_SETTINGS,
  PROVIDERS,
} from '../secrets-managers/providers.js';
import { databaseUrl } from './database-url.js';
import {
  brokerAddress,
  connectorPath,
  fernetKeys,
  httpUrl,
  listOf,
  matching,
  oneOf,
  portOrOff,
  positiveNumber,
  readableFile,
  secretText,
  text,
  topicName,
  trueOrFalse,
  wholeNumber,
} from '../setting/forms.js';
import { settingsOf } from '../setting/setting.js';
import { tagList } from './tags.js';

const key = settingsOf('Keys');
const fallsBack = 'Unset: FERNET_KEY, which `doctor` warns of.';
const manager = settingsOf('Secrets manager');
const database = settingsOf('Database');
const kafka = settingsOf('Kafka');
const label = matching(/^[\x21-\x7e]{1,249}$/, '1 to 249 printable ASCII characters without spaces');
const topics = settingsOf('Topics');
const rules = settingsOf('Rules');
const referencePrefix = matching(/^[^\s%\\]+$/, 'without spaces, % and \\');
const work = settingsOf('Work');
const sight = settingsOf('HTTP and logs');

/** Each store's own default. */
function writesOfProviders(): string {
  const rates = new Map<number, string[]>();
  for (const { title, writesPerSecond, managers } of PROVIDERS)
    if (Object.values(managers).includes('store'))
      rates.set(writesPerSecond, [...(rates.get(writesPerSecond) ?? []), title]);
  const [[first] = [20], ...others] = [...rates];
  return [`${first}`, ...others.map(([rate, titles]) => `${rate} for ${titles.join(', ')}`)].join(', ') + '.';
}

/** Every environment variable that this program reads, in the order of docs/configuration.md. */
export const SETTINGS = {
  FERNET_KEY: key(fernetKeys('FERNET_KEY'), {
    meaning:
      'Keys of what is sealed in the database. Make one with `connection-secrets generate-key`. To rotate, put the new key first, ' +
      'run `rotate-keys`, then remove the old one. Public sample keys are refused.',
    secret: true,
  }),
  PUBLISHER_FERNET_KEY: key(fernetKeys('PUBLISHER_FERNET_KEY'), {
    meaning:
      'Keys that open the fields which a publisher sealed (`fernet:` tokens in source events). No key of another setting: ' +
      'such a start is refused. Unset: an event with a `fernet:` field is refused.',
    secret: true,
  }),
  PUBLISHER_TOKENS: key(oneOf(['bound', 'any']), {
    meaning:
      '`bound`: a token must name the connection and the field that it was sealed for. `any`: tokens that name none are ' +
      'opened, too, whoever copied them to wherever: only while moving over (docs/keys.md).',
    default: 'bound',
  }),
  INGESTION_FERNET_KEY: key(fernetKeys('INGESTION_FERNET_KEY'), {
    meaning: `Keys of what secured events carry sealed, shared with the ingestion workers. ${fallsBack}`,
    secret: true,
  }),
  DEAD_LETTER_FERNET_KEY: key(fernetKeys('DEAD_LETTER_FERNET_KEY'), {
    meaning:
      'Keys of dead letters’ payloads. Unset: keys that follow from FERNET_KEY, which only this program knows: set it where ' +
      'somebody else reads the dead-letter topic.',
    secret: true,
  }),

  SECRET_MANAGER: manager(oneOf(MANAGER_NAMES, MANAGER_ALIASES), {
    meaning:
      'Where values go. Unset: `db`, and only where the database keeps its secrets there already, or is new: a forgotten ' +
      'variable moves nothing.',
  }),
  SECRET_MANAGER_PREFIX: manager(text, {
    meaning:
      'First part of every secret id, before the cluster’s name. Only characters that a secret id keeps; capitals are ' +
      'lower-cased.',
    example: 'team-a',
  }),
  OPENMETADATA_CLUSTER_NAME: manager(text, {
    meaning: 'Part of every secret id: `/<prefix>/<cluster>/…`. Only characters that a secret id keeps.',
    default: 'openmetadata',
  }),
  SECRET_MANAGER_TAGS: manager(tagList, {
    meaning:
      'Tags of every secret that is created, beside our own `managed-by`, `connection-id` and `installation`.',
    example: '[team:data,env:prod]',
  }),
  SECRET_ID_STYLE: manager(oneOf(['openmetadata', 'strict']), {
    meaning:
      '`openmetadata`: ids bit for bit as OpenMetadata builds them, which may collide (then the event is refused). ' +
      '`strict`: ids that cannot collide.',
    default: 'openmetadata',
  }),
  SECRET_ADOPT: manager(trueOrFalse, {
    meaning:
      'Whether an event may take over a secret that exists without our tags (moving over from OpenMetadata). Only where ' +
      'its entity alone can mean that id: its name stands in the id as it is, without `/`, and no other connection refers ' +
      'to the id or has a name that gives the same one. Else it is refused: `ADOPTION_AMBIGUOUS`. Another installation’s ' +
      'secrets are never taken over.',
    default: 'false',
  }),
  SECRET_MIGRATION: manager(oneOf(['auto', 'manual']), {
    meaning:
      'What a start under another SECRET_MANAGER than the database’s does. Unset: it moves everything from `db` to that ' +
      'manager, beside the events; out of any other manager it is refused. `auto`: it moves out of every manager. `manual`: ' +
      'it is always refused, and only `migrate-secrets` moves. A start under a manager that was left is refused in any ' +
      'case: only `migrate-secrets --to` goes back (docs/migration.md).',
  }),
  SECRET_MANAGER_WRITES_PER_SECOND: manager(positiveNumber, {
    meaning:
      'Writes to the store per second, of all processes of this database together: they share it by what each has to ' +
      'write. The quota is the whole account’s: two databases need a part each. Slows down on a throttle. Unset: ' +
      writesOfProviders(),
    example: '0.5',
  }),
  STORE_TIMEOUT_MS: manager(wholeNumber(100, 300_000), {
    meaning: 'Longest time of one request to the store, in milliseconds.',
    default: '5000',
  }),

  ...PROVIDER_SETTINGS,

  DATABASE_URL: database(databaseUrl, {
    meaning:
      'The database. Parameters of a server’s address: `sslmode` (disable, require, verify-full), `sslrootcert`, and ' +
      'for PostgreSQL `schema` and `host` (folder of a socket). A password’s special characters are percent-encoded.',
    default: 'sqlite:./connection-secrets.sqlite',
    example: 'postgres://worker@db.example/secrets?sslmode=verify-full',
    secret: true,
  }),
  DATABASE_MIGRATE: database(oneOf(['auto', 'off']), {
    meaning: 'Whether `start` and `pipe` bring the schema up to date; `off`: they refuse an outdated one.',
    default: 'auto',
  }),
  DATABASE_POOL_SIZE: database(wholeNumber(2, 200), {
    meaning: 'Connections to a database server, per process.',
    default: '10',
  }),
  INBOX_RETENTION_DAYS: database(wholeNumber(1, 3_650), {
    meaning:
      'Days for which outcomes of events stay in the inbox. Longer than the source topics keep their records.',
    default: '30',
  }),
  OUTBOX_RETENTION_DAYS: database(wholeNumber(1, 3_650), {
    meaning:
      'Days for which sent records stay that have a row of their own: dead letters, and secured events that a newer one ' +
      'overtook unsent. Unsent ones always stay.',
    default: '7',
  }),

  KAFKA_BROKERS: kafka(listOf(brokerAddress), {
    meaning: 'Brokers to start from. Needed by `start` and the commands that talk to Kafka.',
    example: 'kafka-1:9092,kafka-2:9092',
  }),
  KAFKA_GROUP_ID: kafka(label, { meaning: 'Consumer group of all workers.', default: 'connection-secrets' }),
  KAFKA_CLIENT_ID: kafka(label, {
    meaning: 'Name under which the brokers log this client.',
    default: 'connection-secrets',
  }),
  KAFKA_SESSION_TIMEOUT_MS: kafka(wholeNumber(1_000, 1_800_000), {
    meaning: 'Milliseconds after which the group gives a silent worker’s partitions to others.',
    default: '30000',
  }),
  KAFKA_REBALANCE_TIMEOUT_MS: kafka(wholeNumber(1_000, 3_600_000), {
    meaning:
      'Milliseconds that a rebalance waits for workers; at least the session’s. Unset: 60000, or the session’s.',
  }),
  KAFKA_SSL: kafka(trueOrFalse, { meaning: 'Whether to talk TLS to the brokers.', default: 'false' }),
  KAFKA_SSL_CA_FILE: kafka(readableFile, {
    meaning: 'PEM file of the authorities to trust. Unset: the system’s.',
  }),
  KAFKA_SSL_CERT_FILE: kafka(readableFile, {
    meaning: 'PEM file of our certificate; with KAFKA_SSL_KEY_FILE.',
  }),
  KAFKA_SSL_KEY_FILE: kafka(readableFile, { meaning: 'PEM file of its key; with KAFKA_SSL_CERT_FILE.' }),
  KAFKA_SASL_MECHANISM: kafka(oneOf(['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer']), {
    meaning: 'How to log in. Unset: no login.',
  }),
  KAFKA_SASL_USERNAME: kafka(text, { meaning: 'User of `plain` and `scram-…`.' }),
  KAFKA_SASL_PASSWORD: kafka(secretText, { meaning: 'Password of `plain` and `scram-…`.', secret: true }),
  KAFKA_SASL_OAUTHBEARER_TOKEN: kafka(secretText, {
    meaning: '`oauthbearer`: a fixed token. One of token, token file and token endpoint is needed.',
    secret: true,
  }),
  KAFKA_SASL_OAUTHBEARER_TOKEN_FILE: kafka(readableFile, {
    meaning: '`oauthbearer`: a file with the token, read anew for each login.',
  }),
  KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT: kafka(httpUrl, {
    meaning: '`oauthbearer`: address that gives tokens for client credentials.',
    example: 'https://login.example/oauth2/token',
  }),
  KAFKA_SASL_OAUTHBEARER_CLIENT_ID: kafka(text, { meaning: 'Client id for the token endpoint.' }),
  KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET: kafka(secretText, {
    meaning: 'Client secret for the token endpoint.',
    secret: true,
  }),
  KAFKA_SASL_OAUTHBEARER_SCOPE: kafka(text, { meaning: 'Scope to ask the token endpoint for.' }),
  PURGE_SOURCE: kafka(oneOf(['off', 'secured']), {
    meaning:
      '`secured`: delete source records (which may hold plain values) once everything up to them is secured. They cannot ' +
      'be replayed afterwards, nor read by anybody else: see docs/replay.md.',
    default: 'off',
  }),

  TOPIC_CREATED: topics(topicName, {
    meaning: 'Source events of created connections. All three source topics may be one.',
    default: 'connection.created',
  }),
  TOPIC_UPDATED: topics(topicName, {
    meaning: 'Source events of updated connections.',
    default: 'connection.updated',
  }),
  TOPIC_DELETED: topics(topicName, {
    meaning: 'Source events of deleted connections.',
    default: 'connection.deleted',
  }),
  TOPIC_SECURED: topics(topicName, {
    meaning: 'Secured events. Must not be a source topic.',
    default: 'connection.secured',
  }),
  TOPIC_DEAD_LETTER: topics(topicName, {
    meaning: 'Dead letters. Must be neither a source topic nor the secured one.',
    default: 'connection.dead-letter',
  }),

  SECRET_BY_NAME: rules(oneOf(['externalise', 'report', 'refuse']), {
    meaning:
      'Keys outside of the catalogue that look like a secret: put into the store, left as they are (logged and counted), ' +
      'or the event refused.',
    default: 'externalise',
  }),
  UNKNOWN_CONNECTOR: rules(oneOf(['heuristic', 'refuse']), {
    meaning: 'Connectors that the catalogue does not know: judged by key names, or the event refused.',
    default: 'heuristic',
  }),
  SOURCE_VALUES: rules(oneOf(['any', 'sealed']), {
    meaning:
      'What source events may carry in secret fields: `any` value, or only what the publisher `sealed`. Masks, references ' +
      'and empty fields always pass; with `sealed` an event with a value in the clear is refused.',
    default: 'any',
  }),
  MASKED_SECRET_ON_NEW_ENDPOINT: rules(oneOf(['allow', 'refuse']), {
    meaning:
      'An event that masks a secret and changes where it is sent (host, port, URL, account, driver options, …): `allow` ' +
      'applies it, with a warning in log, metrics and audit; `refuse` asks for the secret’s text.',
    default: 'allow',
  }),
  SECRET_QUOTED: rules(oneOf(['mask', 'refuse', 'report']), {
    meaning:
      'A secret value of an event, of 8 characters or more, that stands in a free text of it as well: that part replaced ' +
      'by the mask, the event refused, or left as it is. In the configuration, in names and ids it is always left. ' +
      'Counted and audited.',
    default: 'mask',
  }),
  SECURED_REFERENCES: rules(oneOf(['plain', 'sealed']), {
    meaning: 'References in secured events: `secret:…`, or `fernet:` tokens under INGESTION_FERNET_KEY.',
    default: 'plain',
  }),
  SECURED_FORMAT: rules(oneOf(['structured', 'binary']), {
    meaning: 'CloudEvents mode of secured events.',
    default: 'structured',
  }),
  ALLOWED_REFERENCE_PREFIXES: rules(listOf(referencePrefix), {
    meaning:
      'What a user’s reference must begin with, as written after `secret:`. Unset: any reference outside of our own ' +
      'prefixes. It opens nothing of ours: names of other connections, and under a prefix that this worker has or had, stay ' +
      'refused (`REFERENCE_FOREIGN`). A prefix should end with its separator.',
    example: '/shared/,/team-a/',
  }),
  CATALOG_FILE: rules(readableFile, {
    meaning: 'Catalogue of secret fields, made by `catalog build`, in place of the shipped one.',
  }),
  SECRET_PATHS_EXTRA: rules(listOf(connectorPath), {
    meaning: 'Further secret fields.',
    example: 'CustomDatabase:connectionOptions.pin,*:extraHeaders[].value',
  }),
  SECRET_PATHS_EXCLUDED: rules(listOf(connectorPath), {
    meaning: 'Fields that are not secret although the catalogue or their name says so.',
    example: 'Mysql:connectionOptions.tokenStyle',
  }),
  SECRET_DELETION_GRACE_SECONDS: rules(wholeNumber(0, 31_536_000), {
    meaning: 'Seconds between the retirement of a secret and its deletion from the store.',
    default: '86400',
  }),
  CLOCK_SKEW_SECONDS: rules(wholeNumber(0, 86_400), {
    meaning:
      'Seconds that an event may be ahead of this machine’s clock. One further ahead, or from before the year 2000, is ' +
      'refused (`TIMESTAMP_IMPLAUSIBLE`): it would make what follows stale, or be stale itself.',
    default: '300',
  }),
  WAIT_SECONDS: rules(wholeNumber(0, 604_800), {
    meaning:
      'Seconds that a masked event waits for the event with the value, before it becomes a dead letter.',
    default: '600',
  }),

  WORKER_CONCURRENCY: work(wholeNumber(1, 1_000), {
    meaning:
      'Connections whose values are written to the store at the same time; four times as many are claimed, committed ' +
      'and published meanwhile. Without a store: 32 times as many connections at the same ' +
      'time, up to 512; a number above 512 counts as it is. An event counts as one, and one more for each 64 KiB.',
    default: '16',
  }),
  CLAIM_MS: work(wholeNumber(1_000, 3_600_000), {
    meaning:
      'How long a claim on a connection lasts, in milliseconds. At least twice STORE_TIMEOUT_MS and two seconds: one request ' +
      'that times out must leave room for another.',
    default: '15000',
  }),
  RELAY_INTERVAL_MS: work(wholeNumber(50, 3_600_000), {
    meaning: 'Milliseconds between two looks for unsent secured events.',
    default: '2000',
  }),
  SHUTDOWN_GRACE_MS: work(wholeNumber(0, 600_000), {
    meaning: 'Milliseconds in which a stop finishes what is in flight.',
    default: '20000',
  }),

  HTTP_HOST: sight(text, {
    meaning: 'Address that `/healthz`, `/readyz` and `/metrics` listen on.',
    default: '127.0.0.1',
    example: '0.0.0.0',
  }),
  HTTP_PORT: sight(portOrOff, { meaning: 'Their port.', default: '8080' }),
  AUDIT_ACTOR: sight(matching(ACTOR_NAME, ACTOR_FORM), {
    meaning:
      'Who runs this program, for its audit entries: `cli:` and this name. `--actor` of a command replaces it. Unset: the ' +
      'user of the machine.',
    example: 'alice@example.com',
  }),
  LOG_LEVEL: sight(oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']), {
    meaning: 'Least level that is logged.',
    default: 'info',
  }),
};

export type SettingName = keyof typeof SETTINGS;
export type SettingValues = { readonly [N in SettingName]: z.output<(typeof SETTINGS)[N]['schema']> };
export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[];
