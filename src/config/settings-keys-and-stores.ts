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
};

const manager = settingsOf('Secrets manager');

export const STORE_SETTINGS = {
  SECRET_MANAGER: manager(oneOf(MANAGER_NAMES, { noop: 'db', 'local-db': 'db' }), {
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
