import type { Evidence, SecuredEvidence } from './evidence.js';
import { groupBy } from './group-by.js';
import type { Violation } from './types.js';

type Report = (kind: string, connection: string | null, what: string) => void;

/** Invariant 3: revisions without a gap in database and topic, the last record of each connection its newest. */
export function judgeRevisions({ database, secured }: Evidence): Violation[] {
  const violations: Violation[] = [];
  const report: Report = (kind, connection, what) => {
    violations.push({ invariant: 3, kind, connection, what });
  };
  for (const { problem, partition, position } of secured.records)
    if (problem !== null)
      report('record-invalid', null, `the record ${partition}/${position} of secured: ${problem}`);
  const records = groupBy(
    secured.records.filter(({ connectionId }) => connectionId !== null),
    ({ connectionId }) => connectionId ?? '',
  );
  const kept = groupBy(
    database.outbox.filter(({ stream }) => stream === 'secured'),
    ({ connectionId }) => connectionId ?? '',
  );
  for (const { id, revision, isPublished } of database.connections)
    if (!isPublished) report('newest-unpublished', id, `revision ${revision} is not published`);
  for (const { connectionId, stream, revision, isSent } of database.outbox)
    if (!isSent) report('outbox-unsent', connectionId, `revision ${revision} (${stream}) is not published`);
  const ids = new Set([...database.connections.map(({ id }) => id), ...records.keys(), ...kept.keys()]);
  const rows = new Map(database.connections.map((row) => [row.id, row]));
  for (const id of ids) {
    const newest = rows.get(id)?.revision ?? 0;
    const keptRevisions = (kept.get(id) ?? []).map(({ revision }) => revision);
    judgeOutbox(id, newest, keptRevisions, report);
    judgeTopic(id, newest, records.get(id) ?? [], report);
  }
  return violations;
}

/** Revisions that were overtaken before they were published, each once; the row's own is never among them. */
function judgeOutbox(id: string, newest: number, revisions: readonly number[], report: Report): void {
  const sorted = [...revisions].sort((a, b) => a - b);
  sorted.forEach((revision, index) => {
    if (sorted[index - 1] === revision)
      report('outbox-twice', id, `the outbox has revision ${revision} twice`);
    if (revision >= newest)
      report('outbox-newest', id, `the outbox has revision ${revision}, the row says ${newest}`);
  });
}

function judgeTopic(id: string, newest: number, records: readonly SecuredEvidence[], report: Report): void {
  const digests = new Map<number, string>();
  for (const record of records) {
    const { revision, digest, cloudEventId, generation, key } = record;
    const known = digests.get(revision);
    if (known !== undefined && known !== digest)
      report('revision-differs', id, `two records say different things as revision ${revision}`);
    digests.set(revision, digest);
    if (cloudEventId !== `${id}:${generation}:${revision}`)
      report('record-id', id, `the record of revision ${revision} has another id`);
    if (key !== null && key !== id)
      report('record-key', id, `the record of revision ${revision} has another key`);
  }
  for (let revision = 1; revision <= newest; revision += 1)
    if (!digests.has(revision)) report('topic-gap', id, `the topic has no record of revision ${revision}`);
  for (const revision of digests.keys())
    if (revision < 1 || revision > newest)
      report('topic-ahead', id, `the topic has revision ${revision}, the row says ${newest}`);
  if (new Set(records.map(({ partition }) => partition)).size > 1)
    report('topic-partitions', id, 'its records lie in more than one partition');
  if (new Set(records.map(({ generation }) => generation)).size > 1)
    report('generation-differs', id, 'its records are of more than one generation');
  const last = records.at(-1);
  if (last !== undefined && last.revision !== newest)
    report('topic-last', id, `the last record is of revision ${last.revision}, the newest is ${newest}`);
}
