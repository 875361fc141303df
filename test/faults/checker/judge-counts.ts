import type { DatabaseEvidence, Evidence, InboxEvidence, MissedEvidence } from './evidence.js';
import type { ExpectedConnection } from './oracle.js';
import type { PublishedEvent, Violation } from './types.js';

/** Revisions that no event is behind. */
const MAINTENANCE = new Set(['migrated', 'rotated', 'republished']);
const ACCEPTED = new Set(['applied', 'stale', 'duplicate']);

/** What became of the published events, and of how many; `lost`: nothing, and nobody was told. Adds up to all of them. */
export function account(
  published: readonly PublishedEvent[],
  { inbox, missed }: Pick<DatabaseEvidence, 'inbox' | 'missed'>,
): ReadonlyMap<string, number> {
  const outcomes = new Map(inbox.map((row) => [keyOf(row), row.outcome]));
  const counts = new Map<string, number>();
  for (const [key, event] of new Map(published.map((one) => [keyOf(one), one]))) {
    const end = outcomes.get(key) ?? (isToldMissed(event, missed) ? 'missed' : 'lost');
    counts.set(end, (counts.get(end) ?? 0) + 1);
  }
  return counts;
}

/** Whether its record was deleted, and the worker has told of a gap there. */
function isToldMissed({ deleted = [] }: PublishedEvent, missed: readonly MissedEvidence[]): boolean {
  return deleted.some(({ topic, partition, offset, reason }) =>
    missed.some(
      (told) =>
        told.topic === topic &&
        told.partition === partition &&
        told.reason === reason &&
        // Of a topic that was made anew the worker cannot know what was in the former one.
        (reason === 'recreated' || (told.from <= offset && offset < told.to)),
    ),
  );
}

/** What the inbox knows an event by (docs/architecture.md); a record that is no event: by its id alone. */
function keyOf({ connectionId, eventId }: { connectionId: string | null; eventId: string }): string {
  return `${connectionId ?? ''}\n${eventId}`;
}

/** The events that the database says were taken, each once. */
export function acceptedEvents(
  published: readonly PublishedEvent[],
  evidence: Evidence,
): readonly PublishedEvent[] {
  const outcomes = new Map(evidence.database.inbox.map((row) => [keyOf(row), row.outcome]));
  const unique = new Map(published.map((event) => [keyOf(event), event]));
  return [...unique].filter(([key]) => ACCEPTED.has(outcomes.get(key) ?? '')).map(([, event]) => event);
}

/** Invariant 2: every event has one end, and as many secured events as it should: one if applied, else none. */
export function judgeCounts(
  published: readonly PublishedEvent[],
  expected: ReadonlyMap<string, ExpectedConnection>,
  evidence: Evidence,
): Violation[] {
  const violations: Violation[] = [];
  const report = (kind: string, connection: string | null, what: string): void => {
    violations.push({ invariant: 2, kind, connection, what });
  };
  const inbox = new Map(evidence.database.inbox.map((row) => [keyOf(row), row]));
  if (inbox.size !== evidence.database.inbox.length)
    report('inbox-twice', null, 'the inbox has an event more than once');
  const events = new Map(published.map((event) => [keyOf(event), event]));
  for (const [key, event] of events) judgeEvent(event, inbox.get(key), expected, evidence, report);
  for (const [key, row] of inbox)
    if (!events.has(key))
      report('event-unknown', row.connectionId, `nobody published ${row.eventId}, which is in the inbox`);
  judgeDeadLetterRows(evidence, report);
  judgeSecuredPerEvent(evidence, report);
  for (const { topic, partition, end, committed } of evidence.offsets)
    if (committed < end)
      report('offset-behind', null, `${topic}/${partition} is committed up to ${committed} of ${end}`);
  return violations;
}

type Report = (kind: string, connection: string | null, what: string) => void;

function judgeEvent(
  event: PublishedEvent,
  row: InboxEvidence | undefined,
  expected: ReadonlyMap<string, ExpectedConnection>,
  evidence: Evidence,
  report: Report,
): void {
  const { eventId, connectionId, expect = 'accepted' } = event;
  if (row === undefined) {
    if (isToldMissed(event, evidence.database.missed)) return;
    if (event.deleted !== undefined)
      report(
        'missed-untold',
        connectionId,
        `the record of ${eventId} was deleted unread, and nobody was told`,
      );
    else report('event-lost', connectionId, `nothing became of the event ${eventId}`);
    return;
  }
  const isAccepted = ACCEPTED.has(row.outcome);
  if (isAccepted && expect === 'refused')
    report('event-accepted', connectionId, `the event ${eventId} was ${row.outcome}, it had to be refused`);
  if (isAccepted) return;
  if (expect === 'accepted')
    report('event-refused', connectionId, `the event ${eventId} is ${row.outcome}, it had to be accepted`);
  const kept = evidence.database.deadLetters.find(({ eventHash }) => eventHash === row.eventHash);
  const newest = connectionId === null ? undefined : expected.get(connectionId)?.newest;
  const isSuperseded = newest !== undefined && newest.timestampMs >= event.timestampMs;
  if (kept === undefined && !isSuperseded)
    report('dead-letter-missing', connectionId, `the event ${eventId} is ${row.outcome}, and kept nowhere`);
  if (row.outcome === 'waiting') {
    if (kept !== undefined && kept.state !== 'waiting')
      report('dead-letter-state', connectionId, `the event ${eventId} waits, its row says ${kept.state}`);
    return;
  }
  if (kept !== undefined && kept.state !== 'dead')
    report('dead-letter-state', connectionId, `the event ${eventId} is refused, its row says ${kept.state}`);
  const isPublished = evidence.deadLetters?.some(
    (record) => record.eventId === eventId || record.source === placeOf(event) || record.source === eventId,
  );
  if (isPublished === false)
    report('dead-letter-unpublished', connectionId, `the topic has no dead letter of ${eventId}`);
}

function placeOf({ place }: PublishedEvent): string | null {
  return place === undefined ? null : `${place.topic}/${place.partition}/${place.offset}`;
}

function judgeDeadLetterRows({ database }: Evidence, report: Report): void {
  const outcomes = new Map(database.inbox.map(({ eventHash, outcome }) => [eventHash, outcome]));
  for (const { eventHash, connectionId, eventId, code } of database.deadLetters) {
    const outcome = outcomes.get(eventHash);
    if (outcome === undefined || ACCEPTED.has(outcome))
      report(
        'dead-letter-stray',
        connectionId,
        `a dead letter (${code}) is kept of ${eventId ?? 'no event'}, which is ${outcome ?? 'not in the inbox'}`,
      );
  }
}

/** Every applied event gives exactly one secured event; no other one gives any. */
function judgeSecuredPerEvent({ database, secured }: Evidence, report: Report): void {
  const revisions = new Map<string, Set<number>>();
  for (const { connectionId, eventId, revision, operation } of secured.records) {
    if (connectionId === null || MAINTENANCE.has(operation)) continue;
    const key = keyOf({ connectionId, eventId });
    revisions.set(key, (revisions.get(key) ?? new Set()).add(revision));
  }
  for (const row of database.inbox) {
    const found = revisions.get(keyOf(row))?.size ?? 0;
    const wanted = row.outcome === 'applied' ? 1 : 0;
    if (found > wanted)
      report(
        'secured-too-many',
        row.connectionId,
        `${row.eventId} (${row.outcome}) has ${found} secured events`,
      );
    if (found < wanted)
      report('secured-too-few', row.connectionId, `${row.eventId} (${row.outcome}) has no secured event`);
    revisions.delete(keyOf(row));
  }
  for (const key of revisions.keys()) {
    const [connectionId = '', eventId] = key.split('\n');
    report('secured-stray', connectionId, `secured comes from ${eventId}, which is not in the inbox`);
  }
}
