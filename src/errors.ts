/** Who has to act on an error, and how. */
export type ErrorKind =
  /** Wrong use or configuration: the process ends with exit code 2. */
  | 'configuration'
  /** This one event cannot be processed as it is: it becomes a dead letter (or waits). */
  | 'event'
  /** It passes: the worker tries again with back-off. */
  | 'transient'
  /** This process can do nothing: it ends with exit code 1. */
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

/** Every code that this program reports. docs/errors.md is generated from this table; a test compares them. */
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
    'See `--help` of the command.',
  ),
  NOT_CONFIRMED: entry(
    'configuration',
    'A command that can hurt was not confirmed. Nothing was changed.',
    'Where it is meant, run it again with `--yes`, or at a terminal, which asks.',
  ),
  NATIVE_MODULE_UNUSABLE: entry(
    'configuration',
    'The native module of SQLite does not run in this Node.js, was built for another version, or was not built.',
    'Run Node.js 22 (or 20.19), and install with it: `npm ci`, or `npm rebuild better-sqlite3`.',
  ),
  KEY_MISMATCH: entry(
    'configuration',
    'FERNET_KEY does not open what the database holds.',
    'Start with the key that this database was written with (it need not be the first of the list).',
  ),
  MANAGER_MISMATCH: entry(
    'configuration',
    'SECRET_MANAGER is not the one this database works with.',
    'Configure the manager that the message names, or run `migrate-secrets --to` (docs/migration.md).',
  ),
  STORE_OF_ANOTHER_INSTALLATION: entry(
    'configuration',
    'Another installation, or the original of this database, uses the store.',
    'Tell `doctor` what this database is: `--moved`, `--restored`, `--copied` or `--take-over` (docs/operations.md). Or configure another OPENMETADATA_CLUSTER_NAME.',
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
    'Another process uses this SQLite database.',
    'Stop it first, or use PostgreSQL or MySQL for several workers.',
  ),
  TOPICS_INVALID: entry(
    'configuration',
    'A topic is missing, or its settings do not fit.',
    'Run `connection-secrets topics create`, or correct what the message names.',
  ),
  UNSAFE_DEBUG_FLAG: entry(
    'configuration',
    'A debug setting would print the contents of records.',
    'Unset the environment variable that the message names.',
  ),
  // events: shape
  EVENT_NOT_DECODABLE: entry(
    'event',
    'The record is not JSON in UTF-8, or not a change event.',
    'Correct the publisher and publish the entity again with its values. Or discard the dead letter, then retry those behind it.',
  ),
  EVENT_INVALID: entry(
    'event',
    'A member of the change event is missing or of the wrong type.',
    'Correct the publisher and publish the entity again with its values. Or discard the dead letter, then retry those behind it.',
  ),
  EVENT_TOO_DEEP: entry(
    'event',
    'The entity is nested deeper than the limit.',
    'Flatten the entity and publish it again with its values.',
  ),
  EVENT_TOO_LARGE: entry(
    'event',
    'The record or its batch is too large, or the record has too many values or secret fields.',
    'Publish a smaller entity with its values; docs/events.md has the limits.',
  ),
  NUMBER_NOT_EXACT: entry(
    'event',
    'A number cannot be represented exactly.',
    'Publish the entity again with its values, the number as a string or with fewer digits.',
  ),
  ENTITY_TYPE_UNSUPPORTED: entry(
    'event',
    'This entity type is not supported.',
    'Publish only services, bots, ingestion pipelines and workflows.',
  ),
  ENTITY_TYPE_CHANGED: entry(
    'event',
    'A connection with this entity id has another entity type. Its secrets do not belong to this entity.',
    'Publish the entity under its own id, and discard the dead letter.',
  ),
  NOT_A_BOT: entry(
    'event',
    'The user is a human. This program keeps no password hashes of humans.',
    'Publish only users with isBot = true.',
  ),
  TIMESTAMP_IMPLAUSIBLE: entry(
    'event',
    'The event’s time is more than CLOCK_SKEW_SECONDS ahead, which would make all later events stale. Or it is before the year 2000 (seconds instead of milliseconds).',
    'Correct the publisher’s clock or unit and publish the entity again with its values. An event that is only ahead can be retried once its time has come.',
  ),
  ORDER_CONFLICT: entry(
    'event',
    'An event has a higher version than the applied state, but an earlier time and other secrets: two clocks disagree. It blocks no other event.',
    'Correct the publishers’ clocks. Retry applies the event as the newest state; discard it if the applied state is right.',
  ),
  EVENT_ID_REUSED: entry(
    'event',
    'An event id of this connection came again with other content. It blocks no other event.',
    'Give every change its own event id. Retry applies this event as the newest state; discard it if the applied state is right.',
  ),
  // events: fields
  FIELD_NOT_A_STRING: entry(
    'event',
    'A password field holds something that is not a string.',
    'Publish the field as a string.',
  ),
  VALUE_IS_THE_WORD_NULL: entry(
    'event',
    'A password field holds the word null: probably a cleared field that was written as text.',
    'Publish JSON null to clear the field, or the real value.',
  ),
  VALUE_TOO_LONG: entry(
    'event',
    'The value is longer than the store allows.',
    'Shorten it, choose a higher tier of the store, or use another store.',
  ),
  VALUE_REFUSED_BY_STORE: entry(
    'event',
    'The value has characters that the store does not allow.',
    'Change the value, or use another store.',
  ),
  VALUE_NOT_SEALED: entry(
    'event',
    'A secret came as plaintext, and SOURCE_VALUES=sealed.',
    'Let the publisher seal it (docs/publishing.md), or set SOURCE_VALUES=any and retry.',
  ),
  SECRET_QUOTED: entry(
    'event',
    'A text beside the secret fields quotes a secret of the same event, and SECRET_QUOTED=refuse.',
    'Take the secret out of the text and publish again; or set SECRET_QUOTED=mask and retry.',
  ),
  TOKEN_NOT_OPENED: entry(
    'event',
    'No publisher’s key opens a sealed field.',
    'Add the publisher’s key to PUBLISHER_FERNET_KEY and retry.',
  ),
  TOKEN_NOT_BOUND: entry(
    'event',
    'A sealed field’s token does not name the connection and field that it was sealed for.',
    'Publish with the library, or as docs/publishing.md says. During a migration PUBLISHER_TOKENS=any opens such tokens.',
  ),
  REFERENCE_NOT_OPENED: entry(
    'event',
    'The database has a token for a field of this connection, and no key of FERNET_KEY opens it.',
    'Add the key that it was sealed with to FERNET_KEY and retry, or publish the entity with this field’s value. `doctor` counts such rows.',
  ),
  REFERENCE_ALTERED: entry(
    'event',
    'A row of a reference in the database is not as the worker wrote it: somebody has changed, moved or exchanged it.',
    'Publish the entity again with this field’s value; find out who writes to the database; `verify` lists all such rows.',
  ),
  TOKEN_FOR_ANOTHER_FIELD: entry(
    'event',
    'A field holds a token that was sealed for another connection or another field.',
    'Publish the entity with this field’s own value; find out who copied the token.',
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
  SECRET_ID_REFERRED: entry(
    'event',
    'Another connection already refers to the secret id under which a secret would be created.',
    'Take the reference out of the connection that the message names, or delete that connection. Tried again when no other connection refers to it.',
  ),
  SECRET_NOT_OWNED: entry(
    'event',
    'The store has a secret of this name that this program does not own.',
    'Remove it, or adopt it: docs/adopting.md.',
  ),
  ADOPTION_AMBIGUOUS: entry(
    'event',
    'The secret of this name may belong to another entity, so events do not adopt it.',
    'Find out which entity it belongs to, then run `connection-secrets adopt --dry-run` (docs/adopting.md). Or publish the value under another name.',
  ),
  REFERENCE_INVALID: entry(
    'event',
    'Readers would understand the name in this reference differently.',
    'Write the name, or the whole ARN, as the store has it. A password must not begin with secret: – change it.',
  ),
  REFERENCE_FOREIGN: entry(
    'event',
    'The reference names a secret of another connection, or a name under a prefix that this worker has or had.',
    'Use a reference outside of this worker’s prefixes, or publish the value.',
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
  MASKED_SECRET_ON_NEW_ENDPOINT: entry(
    'event',
    'A masked secret would go to another address than before, and MASKED_SECRET_ON_NEW_ENDPOINT=refuse.',
    'Publish the entity with the secret’s text. If the change is intended, set `allow` and retry.',
  ),
  MASK_POSITION_CHANGED: entry(
    'event',
    'An array without unique names was changed: nobody can tell which element a mask stands for.',
    'Publish the array with its values, or give the elements unique names.',
  ),
  MASK_NOT_UNDERSTOOD: entry(
    'event',
    'A field, or a password inside its text, holds another program’s mask. The stored secret stays.',
    'Publish the field with its value. To keep the stored secret, publish ********* as the whole text.',
  ),
  SECRET_BY_NAME_REFUSED: entry(
    'event',
    'A key outside of the catalogue looks like a secret, and SECRET_BY_NAME=refuse.',
    'Change the setting or the key.',
  ),
  CONNECTOR_UNKNOWN: entry(
    'event',
    'The connector is not in the catalogue, and UNKNOWN_CONNECTOR=refuse.',
    'Build a catalogue for your OpenMetadata version (CATALOG_FILE), or change the setting.',
  ),
  EVENT_BLOCKED: entry(
    'event',
    'An earlier dead letter of this connection must be retried or discarded first.',
    'Retry or discard the earlier one, then retry this one. Or publish the entity again with its values, which replaces both.',
  ),
  OUTPUT_TOO_LARGE: entry(
    'event',
    'The secured event or the dead letter would be larger than a record of its topic may be.',
    'Raise the topic’s record size or shrink the entity.',
  ),
  STORE_DENIED: entry(
    'event',
    'The store denies access to one secret id, but not to others.',
    'Grant the permission that the message names. Tried again by itself.',
  ),
  STORE_QUOTA: entry(
    'event',
    'A quota is used up: the store refuses another secret, or another version of this one.',
    'Raise the quota or remove secrets that nobody needs. If the oldest version of a parameter has a label, remove the label. Tried again by itself for ten minutes, later with `dead-letters retry`.',
  ),
  EVENT_NOT_STORABLE: entry(
    'event',
    'The database refuses to store this event. If it also refuses the dead letter, that is stored without its payload.',
    'Look at the database’s error code in the detail. Shorten or correct the entity, or raise the limit (MySQL: max_allowed_packet), and publish it again.',
  ),
  SECRET_VERSION_GONE: entry(
    'event',
    'The store no longer has the version that the database recorded.',
    'Publish the entity again with its values.',
  ),
  // transient
  STORE_UNAVAILABLE: entry(
    'transient',
    'The store does not answer, throttles requests, or fails.',
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
    'Tried again. If it lasts, check address and certificates.',
  ),
  BROKER_ACCESS: entry(
    'transient',
    'The broker refuses the login, or the right to a topic or a group.',
    'Correct credentials or access rules. Tried again; but a worker that cannot join its group for a minute ends, and must be started again.',
  ),
  BATCH_DAMAGED: entry(
    'transient',
    'A batch of records in the topic cannot be decompressed. Its partition is paused; the others go on.',
    'Look at the broker’s log and its other replicas. If the batch is lost, set the group’s offset behind it (docs/operations.md) and publish the entities again.',
  ),
  KEY_MISSING: entry(
    'transient',
    'No configured key opens a token in the database. Its event or record stays as it is; others go on.',
    'Add the key that it was sealed with to the setting that the message names. Tried again by itself. `doctor` counts the tokens.',
  ),
  CLAIM_LOST: entry(
    'transient',
    'The claim on the connection expired, or another worker took it over.',
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

/** Codes of refused or waiting events. */
export type EventErrorCode = {
  [C in ErrorCode]: (typeof ERROR_CODES)[C]['kind'] extends 'event' ? C : never;
}[ErrorCode];

/**
 * The base class of our errors. `message` holds names, codes and limits, never values. So it must never hold the text of a
 * driver, an SDK or a parser: those quote what they were given.
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

/** A refusal of one event. Names the field (JSON Pointer) and the limit, never the value. */
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
