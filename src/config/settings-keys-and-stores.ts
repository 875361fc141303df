import { MANAGER_NAMES } from '../terms.js';
import { databaseUrl } from './database-url.js';
import {
  fernetKeys,
  httpUrl,
  oneOf,
  positiveNumber,
  secretText,
  text,
  trueOrFalse,
  wholeNumber,
} from './forms.js';
import { settingsOf } from './setting.js';
import { tagList } from './tags.js';

const key = settingsOf('Keys');
const fallsBack = 'Unset: FERNET_KEY, which `doctor` warns of.';

export const KEY_SETTINGS = {
  FERNET_KEY: key(fernetKeys('FERNET_KEY'), {
    meaning:
      'Keys of what the database holds. Make one with `connection-secrets generate-key`. To rotate, put the new key first, ' +
      'run `rotate-keys`, then remove the old one. Public sample keys are refused.',
    secret: true,
  }),
  PUBLISHER_FERNET_KEY: key(fernetKeys('PUBLISHER_FERNET_KEY'), {
    meaning: `Keys that open the fields which a publisher sealed (\`fernet:\` tokens in source events). ${fallsBack}`,
    secret: true,
  }),
  INGESTION_FERNET_KEY: key(fernetKeys('INGESTION_FERNET_KEY'), {
    meaning: `Keys of what secured events carry sealed, shared with the ingestion workers. ${fallsBack}`,
    secret: true,
  }),
  DEAD_LETTER_FERNET_KEY: key(fernetKeys('DEAD_LETTER_FERNET_KEY'), {
    meaning: `Keys of dead letters’ payloads. ${fallsBack}`,
    secret: true,
  }),
};

const manager = settingsOf('Secrets manager');

export const STORE_SETTINGS = {
  SECRET_MANAGER: manager(oneOf(MANAGER_NAMES, { noop: 'db', 'local-db': 'db' }), {
    meaning: 'Where values go.',
    default: 'db',
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
    meaning: 'Tags of every secret that is created, beside our own `managed-by` and `connection-id`.',
    example: '[team:data,env:prod]',
  }),
  SECRET_ID_STYLE: manager(oneOf(['openmetadata', 'strict']), {
    meaning:
      '`openmetadata`: ids bit for bit as OpenMetadata builds them, which may collide (then the event is refused). ' +
      '`strict`: ids that can not collide.',
    default: 'openmetadata',
  }),
  SECRET_ADOPT: manager(trueOrFalse, {
    meaning:
      'Whether a secret that exists without our tag may be taken over (moving over from OpenMetadata).',
    default: 'false',
  }),
  SECRET_MIGRATION: manager(oneOf(['auto', 'manual']), {
    meaning:
      'What a start under another SECRET_MANAGER than the database’s does: `auto` makes it the active one and moves everything ' +
      'to it, beside the events; with `manual` such a start is refused, and only `migrate-secrets` moves. A start under a ' +
      'manager that was left is always refused: back goes only `migrate-secrets --to` (docs/migration.md).',
    default: 'auto',
  }),
  SECRET_MANAGER_WRITES_PER_SECOND: manager(positiveNumber, {
    meaning:
      'Writes to the store per second and process; the quota is the whole account’s. Slows down on a throttle.',
    default: '20',
    example: '0.5',
  }),
  STORE_TIMEOUT_MS: manager(wholeNumber(100, 300_000), {
    meaning: 'Longest time of one request to the store, in milliseconds.',
    default: '5000',
  }),
  LOCAL_VAULT_FILE: manager(text, {
    meaning:
      'File of the `local` manager. Unset: beside the SQLite database (its name with the ending `.vault`), else ' +
      '`./connection-secrets.vault`.',
    example: '/var/lib/connection-secrets/demo.vault',
  }),
};

const aws = settingsOf('AWS');

export const AWS_SETTINGS = {
  OM_SM_REGION: aws(text, {
    meaning: 'Region. Unset: AWS_REGION, then AWS_DEFAULT_REGION, then the SDK’s own search.',
    example: 'eu-west-1',
  }),
  OM_SM_ACCESS_KEY_ID: aws(text, {
    meaning:
      'Access key id; with OM_SM_ACCESS_KEY or not at all. Unset: the SDK’s default chain (roles, profiles, …).',
  }),
  OM_SM_ACCESS_KEY: aws(secretText, {
    meaning: 'Secret access key; with OM_SM_ACCESS_KEY_ID.',
    secret: true,
  }),
  AWS_REGION: aws(text, { meaning: 'Region where OM_SM_REGION is unset.' }),
  AWS_DEFAULT_REGION: aws(text, { meaning: 'Region where neither of the other two is set.' }),
  AWS_ENDPOINT_URL: aws(httpUrl, {
    meaning: 'Address of an emulator or private endpoint, for both stores.',
    example: 'http://127.0.0.1:5000',
  }),
  AWS_ENDPOINT_URL_SECRETS_MANAGER: aws(httpUrl, {
    meaning: 'The same for Secrets Manager alone; goes first.',
  }),
  AWS_ENDPOINT_URL_SSM: aws(httpUrl, { meaning: 'The same for Parameter Store alone; goes first.' }),
  SSM_TIER: aws(oneOf(['standard', 'advanced']), {
    meaning: 'Tier of parameters: values up to 4,096 or 8,192 bytes.',
    default: 'standard',
  }),
  AWS_SM_RECOVERY_WINDOW_DAYS: aws(wholeNumber(7, 30), {
    meaning: 'Days in which a deleted secret of Secrets Manager can be restored.',
    default: '30',
  }),
  AWS_SM_FORCE_DELETE: aws(trueOrFalse, {
    meaning: 'Delete from Secrets Manager at once, without a recovery window.',
    default: 'false',
  }),
};

const database = settingsOf('Database');

export const DATABASE_SETTINGS = {
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
    meaning: 'Days for which outcomes of events are kept. Longer than the source topics keep their records.',
    default: '30',
  }),
  OUTBOX_RETENTION_DAYS: database(wholeNumber(1, 3_650), {
    meaning: 'Days for which sent secured events are kept. Unsent ones are always kept.',
    default: '7',
  }),
};
