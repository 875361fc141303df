import { listOf, matching, oneOf, readableFile, text, wholeNumber } from './forms.js';
import { connectorPath } from './kafka-forms.js';
import { Refusal, settingsOf, type Form } from './setting.js';

const rules = settingsOf('Rules');
const referencePrefix = matching(/^[^\s%\\]+$/, 'without spaces, % and \\');

export const RULE_SETTINGS = {
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
};

const work = settingsOf('Work');

export const WORK_SETTINGS = {
  WORKER_CONCURRENCY: work(wholeNumber(1, 1_000), {
    meaning: 'Connections that are worked on at the same time.',
    default: '16',
  }),
  CLAIM_MS: work(wholeNumber(1_000, 3_600_000), {
    meaning:
      'Milliseconds for which a worker holds a connection. At least twice STORE_TIMEOUT_MS and two seconds: one request ' +
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
};

const sight = settingsOf('HTTP and logs');

/** A port number, or `off`. */
const portOrOff: Form<number | 'off'> = {
  form: 'port number, 0 for any free one, or off',
  parse: (given) => {
    if (given.toLowerCase() === 'off') return 'off';
    const port = /^\d{1,5}$/.test(given) ? Number(given) : Number.NaN;
    if (!(port <= 65_535)) throw new Refusal('must be a port number from 0 (any free one) to 65535, or off');
    return port;
  },
};

export const SIGHT_SETTINGS = {
  HTTP_HOST: sight(text, {
    meaning: 'Address that `/healthz`, `/readyz` and `/metrics` listen on.',
    default: '127.0.0.1',
    example: '0.0.0.0',
  }),
  HTTP_PORT: sight(portOrOff, { meaning: 'Their port.', default: '8080' }),
  LOG_LEVEL: sight(oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']), {
    meaning: 'Least level that is logged.',
    default: 'info',
  }),
};
