import { join } from 'node:path';
import { again, append, comesFrom, last, refer, sql, told, vault, without, type Damage } from './broken.js';
import type { CheckInput, Invariant } from './index.js';

/** A value that the history has published. */
export const VALUE = 'private-key-of-changed-4';

const OLDER_VALUE = `UPDATE secret SET current = (SELECT MIN(version) FROM version WHERE secret_id = id)
  WHERE id LIKE '%service_changed/privatekey'`;
const STRANGER = `CREATE TEMP TABLE t AS SELECT * FROM connection WHERE id = 'soft';
  UPDATE t SET id = 'stranger'; INSERT INTO connection SELECT * FROM t`;
const TWICE_IN_INBOX = `CREATE TABLE other AS SELECT * FROM inbox; DROP TABLE inbox;
  ALTER TABLE other RENAME TO inbox; INSERT INTO inbox SELECT * FROM inbox WHERE event_id = 'event-soft-2'`;
const VALUE_IN_BASE64 = Buffer.from(`12${VALUE}34`).toString('base64');

/** A row of the outbox as a newer revision leaves it. */
const overtaken = (revision: number, sentAtMs = '1'): string =>
  `INSERT INTO outbox (id, connection_id, stream, revision, payload, created_at_ms, sent_at_ms)
   VALUES ('overtaken', 'changed', 'secured', ${revision}, '', 1, ${sentAtMs})`;

/** What is broken, and the least that has to be said of it. */
export const DAMAGES: readonly (readonly [string, Invariant, string, Damage])[] = [
  ['a connection is gone', 1, 'connection-missing', sql(`DELETE FROM connection WHERE id = 'soft'`)],
  ['it was never secured', 1, 'secured-missing', without(({ connectionId }) => connectionId === 'soft')],
  ['a connection that nobody published', 1, 'connection-unknown', sql(STRANGER)],
  [
    'the row is of an older event',
    1,
    'row-order',
    sql(`UPDATE connection SET applied_order = json_set(applied_order, '$.timestampMs', 1790000000020)
      WHERE id = 'changed'`),
  ],
  ['an older version', 1, 'row-version', sql(`UPDATE connection SET version = 0.2 WHERE id = 'changed'`)],
  ['a deleted one is back', 1, 'row-state', sql(`UPDATE connection SET state = 'live' WHERE id = 'deleted'`)],
  ['secured: an older version', 1, 'secured-version', last('changed', (data) => (data['version'] = 0.2))],
  ['secured: an older revision', 1, 'secured-revision', last('changed', (data) => (data.revision = 2))],
  ['secured: another manager', 1, 'secured-manager', last('changed', (data) => (data['manager'] = 'db'))],
  ['secured: a deleted one', 1, 'secured-state', last('deleted', (data) => (data['entity'] = {}))],
  [
    'the row says an old host',
    1,
    'row-entity',
    sql(`UPDATE connection SET entity = replace(entity, 'c.example', 'b.example') WHERE id = 'changed'`),
  ],
  [
    'secured says an old host',
    1,
    'secured-entity',
    last('changed', ({ entity }, { data }) => {
      data['entity'] = JSON.parse(JSON.stringify(entity).replaceAll('c.example', 'b.example'));
    }),
  ],
  ['secured lost a field', 1, 'field-missing', last('changed', ({ secretFields }) => secretFields.pop())],
  [
    'the database lost a field',
    1,
    'field-missing',
    sql(`DELETE FROM secret_reference WHERE connection_id = 'changed' AND pointer LIKE '%password'`),
  ],
  [
    'a field of a deleted connection is still there',
    1,
    'field-not-cleared',
    sql(`UPDATE secret_reference SET connection_id = 'deleted' WHERE connection_id = 'soft'`),
  ],
  [
    'secured says that a secret of ours is a user’s',
    1,
    'owned-differs',
    last('soft', ({ secretFields }) => secretFields.forEach((field) => (field.owned = false))),
  ],
  [
    'another secret',
    1,
    'reference-differs',
    refer('changed', 'secret:/openmetadata/database/other/password'),
  ],
  ['another secret of a user', 1, 'reference-differs', refer('external', 'secret:/elsewhere/of-another')],
  ['a token that no key opens', 1, 'token-not-opened', refer('changed', 'fernet:gAAAAAB')],
  ['a value is gone', 1, 'value-missing', vault(`DELETE FROM secret WHERE owner = 'changed'`)],
  ['the older value', 1, 'value-differs', vault(OLDER_VALUE)],
  ['another version than the recorded one', 1, 'stored-version', vault(OLDER_VALUE)],
  ['another’s tag', 1, 'owner-differs', vault(`UPDATE secret SET owner = 'soft' WHERE owner = 'changed'`)],
  [
    'a secret in use is retired',
    1,
    'stored-state',
    sql(`UPDATE stored_secret SET state = 'retired' WHERE connection_id = 'changed'`),
  ],
  ['nobody told where the values are', 1, 'store-unknown', told(() => ({ stores: {} }))],

  ['an event left no trace', 2, 'event-lost', sql(`DELETE FROM inbox WHERE event_id = 'event-changed-2'`)],
  [
    'a record was deleted unread, and nobody was told',
    2,
    'missed-untold',
    (run) => {
      sql(`DELETE FROM inbox WHERE event_id = 'event-changed-2'`)(run);
      sql(missOf(1, 12))(run);
      told(deletedAt(13))(run);
    },
  ],
  ['an event from nowhere', 2, 'event-unknown', told(({ published }) => ({ published: published.slice(1) }))],
  ['an event counted twice', 2, 'inbox-twice', sql(TWICE_IN_INBOX)],
  ['a good event was refused', 2, 'event-refused', outcome('event-changed-2', 'refused')],
  ['a good event waits for ever', 2, 'event-refused', outcome('event-changed-2', 'waiting')],
  ['a bad event was taken', 2, 'event-accepted', outcome('event-plain-2', 'stale')],
  [
    'a refused event is kept nowhere',
    2,
    'dead-letter-missing',
    sql(`DELETE FROM dead_letter WHERE event_id = 'event-plain-2'`),
  ],
  [
    'a refused event is kept as waiting',
    2,
    'dead-letter-state',
    sql(`UPDATE dead_letter SET state = 'waiting' WHERE event_id = 'event-plain-2'`),
  ],
  ['a waiting event is kept as dead', 2, 'dead-letter-state', outcome('event-plain-2', 'waiting')],
  ['a dead letter of an applied event', 2, 'dead-letter-stray', outcome('event-plain-2', 'applied')],
  [
    'a dead letter is not in the topic',
    2,
    'dead-letter-unpublished',
    (run) => {
      append('dead.ndjson', '')(run);
      told((_, dir) => ({ deadLetters: { kind: 'file', file: join(dir, 'dead.ndjson') } }))(run);
    },
  ],
  [
    'no secured event of an applied one',
    2,
    'secured-too-few',
    without(({ source }) => source.eventId === 'event-changed-2'),
  ],
  ['two secured events of one', 2, 'secured-too-many', comesFrom('event-changed-2', 'event-changed-4')],
  ['a secured event of a stale one', 2, 'secured-too-many', outcome('event-changed-2', 'stale')],
  ['a secured event of an unknown one', 2, 'secured-stray', comesFrom('event-changed-2', 'stranger')],

  [
    'a record was never published',
    3,
    'newest-unpublished',
    sql(`UPDATE connection SET unpublished_since_ms = 1 WHERE id = 'soft'`),
  ],
  ['an overtaken record was never published', 3, 'outbox-unsent', sql(overtaken(1, 'NULL'))],
  [
    'the outbox has a revision twice',
    3,
    'outbox-twice',
    sql(`${overtaken(1)}; ${overtaken(1).replace("'overtaken'", "'again'")}`),
  ],
  ['the outbox has the newest revision', 3, 'outbox-newest', sql(overtaken(4))],
  ['the row is ahead', 3, 'topic-gap', sql(`UPDATE connection SET revision = 9 WHERE id = 'changed'`)],
  [
    'the topic has a gap',
    3,
    'topic-gap',
    without(({ connectionId, revision }) => connectionId === 'changed' && revision === 2),
  ],
  ['the row is behind', 3, 'topic-ahead', sql(`UPDATE connection SET revision = 1 WHERE id = 'changed'`)],
  [
    'the last record is an older revision',
    3,
    'topic-last',
    again(({ connectionId, revision }) => connectionId === 'changed' && revision === 2),
  ],
  [
    'one revision says two things',
    3,
    'revision-differs',
    again(
      ({ connectionId }) => connectionId === 'external',
      (line) => ({ ...line, time: '2026-01-01T00:00:00.000Z' }),
    ),
  ],
  ['the id of another record', 3, 'record-id', last('soft', (_, line) => (line['id'] = 'changed:1:1'))],
  ['another generation', 3, 'generation-differs', last('changed', (data) => (data['generation'] = 1))],
  ['not what the schema says', 3, 'record-invalid', last('soft', (data) => delete data['operation'])],
  ['a record is cut off', 3, 'record-invalid', append('secured.ndjson', '{"specversion"')],

  ['a value in a row', 4, 'value-outside', sql(`UPDATE connection SET name = '${VALUE}' WHERE id = 'soft'`)],
  [
    'a value in base64 in a table that nobody knows',
    4,
    'value-outside',
    sql(`CREATE TABLE extra (text TEXT); INSERT INTO extra VALUES ('x${VALUE_IN_BASE64}')`),
  ],
  [
    'a value in the file’s free space',
    4,
    'value-outside',
    sql(`PRAGMA secure_delete = OFF; CREATE TABLE extra (text TEXT);
      INSERT INTO extra VALUES ('${VALUE}'); DROP TABLE extra`),
  ],
  ['a value in secured', 4, 'value-outside', last('soft', (data) => (data['name'] = VALUE))],
  [
    'a value in clear in the vault',
    4,
    'value-outside',
    vault(
      `INSERT INTO version (secret_id, client_token, sealed) SELECT id, 'token', '${VALUE}' FROM secret LIMIT 1`,
    ),
  ],
  ['a value in a log', 4, 'value-outside', told(() => ({ logs: { 'the log': `{"p":"${VALUE}"}` } }))],
  [
    'a value in a file',
    4,
    'value-outside',
    (run) => {
      append('core.dump', `\0\0${VALUE}\0`)(run);
      told((_, dir) => ({ files: [join(dir, 'core.dump')] }))(run);
    },
  ],

  [
    'a secret that the database does not know',
    5,
    'secret-unknown',
    vault(
      `INSERT INTO secret (id, owner, current) VALUES ('/openmetadata/database/orphan/password', 'changed', 1)`,
    ),
  ],
  [
    'a secret that the database takes for deleted',
    5,
    'secret-deleted',
    sql(`UPDATE stored_secret SET state = 'deleted' WHERE connection_id = 'soft'`),
  ],
  [
    'a secret of another connection',
    5,
    'secret-owner',
    sql(`UPDATE stored_secret SET connection_id = 'soft' WHERE connection_id = 'deleted'`),
  ],
  [
    'a live secret that no field refers to',
    5,
    'secret-unused',
    sql(`UPDATE stored_secret SET state = 'live' WHERE connection_id = 'deleted'`),
  ],
];

function outcome(eventId: string, name: string): Damage {
  return sql(`UPDATE inbox SET outcome = '${name}' WHERE event_id = '${eventId}'`);
}

/** A row of the audit as the worker writes it; `to` not included. */
export function missOf(from: number, to: number): string {
  const detail = `t/0: offsets ${from} to ${to - 1} (${to - from} records): they were deleted before`;
  return `INSERT INTO audit (id, at_ms, action, detail) VALUES ('miss', 1, 'miss', '${detail}')`;
}

/** Tells the checker that the record of an event was deleted. */
export const deletedAt =
  (offset: number) =>
  ({ published }: CheckInput): Partial<CheckInput> => ({
    published: published.map((event) =>
      event.eventId === 'event-changed-2'
        ? { ...event, deleted: [{ topic: 't', partition: 0, offset, reason: 'expired' }] }
        : event,
    ),
  });
