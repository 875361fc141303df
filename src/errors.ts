/** What an error means for whoever has to act on it. */
export type ErrorKind =
  /** Wrong use or configuration: the process ends with exit code 2. */
  | 'configuration'
  /** This one event can not be processed as it is: it becomes a dead letter (or waits). */
  | 'event'
  /** Passing: tried again with backoff. */
  | 'transient'
  /** Nothing this process can do: it ends with exit code 1. */
  | 'fatal';

interface CodeEntry {
  readonly kind: ErrorKind;
  readonly meaning: string;
  readonly remedy: string;
}

const entry = <K extends ErrorKind>(
  kind: K,
  meaning: string,
  remedy: string,
): CodeEntry & { readonly kind: K } => ({
  kind,
  meaning,
  remedy,
});

/** Every code this program reports. docs/errors.md is this table; a test keeps the two equal. */
export const ERROR_CODES = {
  // configuration and start
  CONFIG_INVALID: entry(
    'configuration',
    'One or more settings are missing or wrong.',
    'Correct the settings that the message lists.',
  ),
  USAGE_INVALID: entry(
    'configuration',
    'A command was called with a wrong flag or argument.',
    'See --help of the command.',
  ),
  KEY_MISMATCH: entry(
    'configuration',
    'FERNET_KEY does not open what the database holds.',
    'Start with the key this database was written with (it may stand second in the list).',
  ),
  MANAGER_MISMATCH: entry(
    'configuration',
    'SECRET_MANAGER is not the one this database works with.',
    'Configure the manager that the message names, or run `migrate-secrets --to` (docs/migration.md).',
  ),
  SCHEMA_OUTDATED: entry(
    'configuration',
    'The database schema is older than the program and DATABASE_MIGRATE is off.',
    'Run `connection-secrets database migrate`.',
  ),
  SCHEMA_TOO_NEW: entry(
    'configuration',
    'The database schema is newer than the program.',
    'Use the program version that wrote it, or a newer one.',
  ),
  DATABASE_IN_USE: entry(
    'configuration',
    'Another process works on this SQLite database.',
    'Stop it first, or use PostgreSQL or MySQL for several workers.',
  ),
  TOPICS_INVALID: entry(
    'configuration',
    'A topic is missing or unfit.',
    'Run `connection-secrets topics create`, or correct what the message names.',
  ),
  UNSAFE_DEBUG_FLAG: entry(
    'configuration',
    'A debug setting would print record contents.',
    'Unset the environment variable that the message names.',
  ),
  // events: shape
  EVENT_NOT_DECODABLE: entry(
    'event',
    'The record is not JSON in UTF-8, or not a change event.',
    'Correct the publisher; discard the dead letter.',
  ),
  EVENT_INVALID: entry(
    'event',
    'A member of the change event is missing or of the wrong type.',
    'Correct the publisher and publish the entity again.',
  ),
  EVENT_TOO_DEEP: entry(
    'event',
    'The entity is nested deeper than the limit.',
    'Flatten the entity and publish it again.',
  ),
  NUMBER_NOT_EXACT: entry(
    'event',
    'A number can not be held exactly.',
    'Publish it as a string, or with fewer digits.',
  ),
  ENTITY_TYPE_UNSUPPORTED: entry(
    'event',
    'This entity type is none whose secrets are kept here.',
    'Publish only services, bots, ingestion pipelines and workflows.',
  ),
  NOT_A_BOT: entry(
    'event',
    'The user is a human: its password hash is not ours to keep.',
    'Publish only users with isBot = true.',
  ),
  TIMESTAMP_IN_FUTURE: entry(
    'event',
    'The event is more than an hour ahead: it would make everything after it stale.',
    'Correct the publisher’s clock and publish again.',
  ),
  // events: fields
  FIELD_NOT_A_STRING: entry(
    'event',
    'A password field holds something that is not a string.',
    'Publish the field as a string.',
  ),
  VALUE_IS_THE_WORD_NULL: entry(
    'event',
    'A password field holds the word null, which is a cleared field gone wrong.',
    'Publish JSON null to clear the field, or the real value.',
  ),
  VALUE_TOO_LONG: entry(
    'event',
    'The value is longer than the store takes.',
    'Shorten it, raise the store’s tier, or use another store.',
  ),
  VALUE_REFUSED_BY_STORE: entry(
    'event',
    'The value has characters that the store refuses.',
    'Change the value, or use another store.',
  ),
  TOKEN_NOT_OPENED: entry(
    'event',
    'A sealed field can not be opened with the publisher’s keys.',
    'Add the publisher’s key to PUBLISHER_FERNET_KEY and retry.',
  ),
  SECRET_ID_INVALID: entry(
    'event',
    'No valid secret id can be built for a field.',
    'Rename the entity or the key that the message names.',
  ),
  SECRET_ID_AMBIGUOUS: entry(
    'event',
    'Two fields of one event have the same secret id.',
    'Rename one of the keys, or use SECRET_ID_STYLE=strict.',
  ),
  SECRET_ID_COLLISION: entry(
    'event',
    'The secret id belongs to another connection.',
    'Rename one of the two connections, or use SECRET_ID_STYLE=strict. Tried again when the id is free.',
  ),
  SECRET_NOT_OWNED: entry(
    'event',
    'The store holds a secret of this name that is not ours.',
    'Remove it, or set SECRET_ADOPT=true to take it over.',
  ),
  REFERENCE_FOREIGN: entry(
    'event',
    'The reference names a secret of another connection.',
    'Use a reference outside of this worker’s prefix.',
  ),
  REFERENCE_NOT_ALLOWED: entry(
    'event',
    'The reference is outside of ALLOWED_REFERENCE_PREFIXES.',
    'Extend the list or change the reference.',
  ),
  MASK_WITHOUT_ORIGINAL: entry(
    'event',
    'A masked field has no stored value, and none came in time.',
    'Publish the entity with the value, then discard the dead letter.',
  ),
  MASK_POSITION_CHANGED: entry(
    'event',
    'A masked element of an array without names can not be told from its neighbours.',
    'Publish the array with its values, or give the elements unique names.',
  ),
  SECRET_BY_NAME_REFUSED: entry(
    'event',
    'A key outside of the catalogue looks like a secret, and SECRET_BY_NAME=refuse.',
    'Change the setting or the key.',
  ),
  CONNECTOR_UNKNOWN: entry(
    'event',
    'The connector is not in the catalogue, and UNKNOWN_CONNECTOR=refuse.',
    'Build a catalogue for your version (CATALOG_FILE), or change the setting.',
  ),
  EVENT_BLOCKED: entry(
    'event',
    'An earlier dead letter of this connection must be settled first.',
    'Retry or discard the earlier one.',
  ),
  OUTPUT_TOO_LARGE: entry(
    'event',
    'The secured event or the dead letter would not fit into a record.',
    'Raise the topic’s record size or shrink the entity.',
  ),
  STORE_DENIED: entry(
    'event',
    'The store denies access to one secret id while it grants others.',
    'Grant the permission that the message names; tried again by itself.',
  ),
  EVENT_NOT_STORABLE: entry(
    'event',
    'The database refuses to store this event.',
    'Look for the database error code in the log; shorten or correct the entity.',
  ),
  SECRET_VERSION_GONE: entry(
    'event',
    'The store no longer has the version that the database recorded.',
    'Publish the entity again with its values.',
  ),
  // passing
  STORE_UNAVAILABLE: entry(
    'transient',
    'The store does not answer, is throttled or fails.',
    'None needed: tried again.',
  ),
  STORE_ACCESS: entry(
    'transient',
    'The store denies access.',
    'Renew the credentials or grant the permissions: tried again.',
  ),
  DATABASE_UNAVAILABLE: entry('transient', 'The database does not answer.', 'None needed: tried again.'),
  BROKER_UNAVAILABLE: entry(
    'transient',
    'The broker does not answer.',
    'Tried again; where it lasts, check address and certificates.',
  ),
  BROKER_ACCESS: entry(
    'transient',
    'The broker refuses the login, or the right to a topic or a group.',
    'Correct credentials or access rules: tried again. A worker that is kept out of its group for a minute ends; start it again then.',
  ),
  CLAIM_LOST: entry(
    'transient',
    'Another worker took the connection over, or the claim ran out.',
    'None needed: tried again.',
  ),
  // the rest
  SECRET_NOT_FOUND: entry(
    'fatal',
    'The store has no secret of this name.',
    'Check the reference, the store and the region.',
  ),
  INTERNAL: entry('fatal', 'A defect of this program.', 'Report it with the log lines around it.'),
} as const satisfies Record<string, CodeEntry>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Codes that a refused (or waiting) event can carry. */
export type EventErrorCode = {
  [C in ErrorCode]: (typeof ERROR_CODES)[C]['kind'] extends 'event' ? C : never;
}[ErrorCode];

/**
 * The one base class of our errors. `message` and `details` carry names, codes and limits, never values: texts of
 * drivers, SDKs and parsers quote what they were given and must not be copied into either.
 */
export class WorkerError extends Error {
  override readonly name: string = 'WorkerError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  get kind(): ErrorKind {
    return ERROR_CODES[this.code].kind;
  }

  get retryable(): boolean {
    return this.kind === 'transient';
  }

  get remedy(): string {
    return ERROR_CODES[this.code].remedy;
  }
}

/** A refusal of one event: names the field (JSON Pointer) and the limit, never the value. */
export class EventError extends WorkerError {
  override readonly name = 'EventError';
  declare readonly code: EventErrorCode;
  readonly field: string | null;

  constructor(code: EventErrorCode, message: string, field: string | null = null) {
    super(code, message);
    this.field = field;
  }
}

/** Wrong use or configuration: exit code 2. */
export class ConfigurationError extends WorkerError {
  override readonly name = 'ConfigurationError';
}
