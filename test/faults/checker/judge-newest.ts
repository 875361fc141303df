import { isDeepStrictEqual } from 'node:util';
import type { SecuredEvent } from '../../../src/terms.js';
import type {
  ConnectionEvidence,
  Evidence,
  ReferenceEvidence,
  StoredEvidence,
  StoreSecret,
} from './evidence.js';
import { groupBy } from './group-by.js';
import type { ExpectedConnection, ExpectedField } from './oracle.js';
import { withoutPlaces } from './published.js';
import type { Violation } from './types.js';

type Report = (kind: string, what: string) => void;

/** One connection and everything that was read of it. */
interface Subject {
  readonly id: string;
  readonly expected: ExpectedConnection;
  readonly row: ConnectionEvidence;
  readonly secured: SecuredEvent;
  readonly evidence: Evidence;
  readonly references: readonly ReferenceEvidence[];
  readonly stored: ReadonlyMap<string, StoredEvidence>;
  readonly report: Report;
}

/** Invariant 1: store, database row and last secured event say the newest accepted version of every connection. */
export function judgeNewest(
  expected: ReadonlyMap<string, ExpectedConnection>,
  evidence: Evidence,
): Violation[] {
  const violations: Violation[] = [];
  const rows = new Map(evidence.database.connections.map((row) => [row.id, row]));
  const storedByConnection = groupBy(evidence.database.stored, ({ connectionId }) => connectionId);
  const references = groupBy(evidence.database.references, ({ connectionId }) => connectionId);
  const reporter =
    (connection: string): Report =>
    (kind, what) =>
      violations.push({ invariant: 1, kind, connection, what });
  for (const [id, expectation] of expected) {
    const report = reporter(id);
    const row = rows.get(id);
    const secured = evidence.secured.lastData.get(id);
    if (row === undefined || row.orderTimestampMs === null)
      report('connection-missing', 'the database has no state of it');
    else if (secured === undefined) report('secured-missing', 'there is no secured event of it');
    else {
      const ofManager = (storedByConnection.get(id) ?? []).filter(({ manager }) => manager === row.manager);
      const stored = new Map(ofManager.map((one) => [one.secretId, one]));
      judgeConnection({
        id,
        expected: expectation,
        row,
        secured,
        evidence,
        references: references.get(id) ?? [],
        stored,
        report,
      });
    }
  }
  for (const { id, orderTimestampMs } of rows.values())
    if (orderTimestampMs !== null && !expected.has(id))
      reporter(id)('connection-unknown', 'the database has it, but no accepted event is its');
  return violations;
}

function judgeConnection(subject: Subject): void {
  const { expected, row, secured, report } = subject;
  const { newest, state } = expected;
  if (row.orderTimestampMs !== newest.timestampMs || row.orderVersion !== newest.version)
    report(
      'row-order',
      `the row is of time ${row.orderTimestampMs}, version ${row.orderVersion}; the newest accepted event (${newest.eventId}) of ${newest.timestampMs}, ${newest.version}`,
    );
  if (row.state !== state) report('row-state', `the row says ${row.state}, expected ${state}`);
  if (newest.version !== null && row.version !== newest.version)
    report('row-version', `the row says version ${row.version}, expected ${newest.version}`);
  if (secured.version !== row.version)
    report('secured-version', `secured says version ${secured.version}, the row ${row.version}`);
  if (secured.revision !== row.revision)
    report('secured-revision', `secured says revision ${secured.revision}, the row ${row.revision}`);
  if (secured.manager !== row.manager)
    report('secured-manager', `secured says manager ${secured.manager}, the row ${row.manager}`);
  if ((secured.entity === null) !== (state === 'deleted'))
    report('secured-state', `secured says ${secured.operation}, expected ${state}`);
  judgeEntity(subject);
  judgeFields(subject);
}

/** What is no secret: as published. */
function judgeEntity({ expected, row, secured, report }: Subject): void {
  const { entity } = expected.newest;
  if (expected.state === 'deleted' || entity === undefined) return;
  const pointers = [...expected.fields.keys()];
  const wanted = withoutPlaces(entity, pointers);
  if (!isDeepStrictEqual(withoutPlaces(row.entity, pointers), wanted))
    report('row-entity', 'what the row says beside secrets is not what the newest event says');
  if (!isDeepStrictEqual(withoutPlaces(secured.entity, pointers), wanted))
    report('secured-entity', 'what secured says beside secrets is not what the newest event says');
}

function judgeFields(subject: Subject): void {
  const { expected, secured, report } = subject;
  const securedFields = new Map(secured.secretFields.map((field) => [field.path, field]));
  const references = new Map(subject.references.map((reference) => [reference.pointer, reference]));
  for (const pointer of new Set([...expected.fields.keys(), ...securedFields.keys(), ...references.keys()])) {
    const wanted = expected.fields.get(pointer) ?? { kind: 'none' };
    const field = securedFields.get(pointer);
    const reference = references.get(pointer);
    if (wanted.kind === 'unknown') continue;
    if (wanted.kind === 'none') {
      if (field !== undefined) report('field-not-cleared', `secured has a reference for ${pointer}`);
      if (reference !== undefined) report('field-not-cleared', `the database has a reference for ${pointer}`);
    } else if (field === undefined) report('field-missing', `secured has no reference for ${pointer}`);
    else if (reference === undefined) report('field-missing', `the database has no reference for ${pointer}`);
    else {
      if (field.owned !== reference.owned)
        report('owned-differs', `secured and database differ in who owns ${pointer}`);
      judgeValue(subject, pointer, field.reference, reference.secretId, wanted);
    }
  }
}

function judgeValue(
  subject: Subject,
  pointer: string,
  emitted: string,
  ownedId: string | null,
  wanted: Extract<ExpectedField, { kind: 'text' | 'reference' }>,
): void {
  const { evidence, row, report } = subject;
  const plain = emitted.startsWith('fernet:') ? evidence.openToken(emitted) : emitted;
  if (plain === null) {
    report('token-not-opened', `no key opens what secured says of ${pointer}`);
  } else if (wanted.kind === 'reference') {
    if (plain !== wanted.reference)
      report('reference-differs', `secured has another reference for ${pointer}`);
  } else if (!plain.startsWith('secret:')) {
    const isHere = evidence.stores.get(row.manager ?? '') === null;
    if (!isHere) report('reference-differs', `secured has no name of a secret for ${pointer}`);
    else if (plain !== wanted.text) report('value-differs', `the token for ${pointer} holds another value`);
  } else {
    const secretId = plain.slice('secret:'.length);
    if (secretId !== ownedId)
      report('reference-differs', `secured says ${secretId} for ${pointer}, the database ${ownedId}`);
    judgeStored(subject, pointer, secretId, wanted.text);
  }
}

function judgeStored(subject: Subject, pointer: string, secretId: string, text: string): void {
  const { id, evidence, row, report, stored } = subject;
  const store = evidence.stores.get(row.manager ?? '');
  if (store == null) {
    report('store-unknown', `nobody said where the values of ${row.manager} are`);
    return;
  }
  const secret: StoreSecret | undefined = store.get(secretId);
  if (secret === undefined || secret.isGone)
    report('value-missing', `the store has no ${secretId} for ${pointer}`);
  else {
    if (secret.value !== text) report('value-differs', `the store has another value under ${secretId}`);
    if (secret.owner !== id) report('owner-differs', `${secretId} is tagged as of ${secret.owner}`);
    const record = stored.get(secretId);
    if (record?.state !== 'live')
      report(
        'stored-state',
        `the database says ${record?.state ?? 'nothing'} of ${secretId}, which is in use`,
      );
    else if (!record.isSuspect && record.version !== secret.version)
      report('stored-version', `the recorded version of ${secretId} is not the current one`);
  }
}
