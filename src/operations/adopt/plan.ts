import { setImmediate as nextTurn } from 'node:timers/promises';
import { fieldsAfter, holdersOf, keptEventsAfter, referrersOf } from '../../database/claimants.js';
import type { Database } from '../../database/database.js';
import type { DeadLetterRow } from '../../database/rows.js';
import { EventError, WorkerError, type ErrorCode } from '../../errors.js';
import { decodeRecord, type SourceTopics } from '../../events/decode.js';
import { keptTimeMs } from '../../pipeline/blocking.js';
import type { PlanContext } from '../../pipeline/context.js';
import { ownIdOf } from '../../pipeline/field-rules.js';
import { type Incoming, prepareEvent, type PreparedEvent } from '../../pipeline/prepare.js';
import { openKept } from '../../pipeline/pipeline.js';
import { toReference } from '../../pipeline/references.js';
import { refuseWrite } from '../../secrets-managers/check-store.js';
import { judgeClaims, type AdoptVerdict, type Claimant, type ClaimKind, type InStore } from './claims.js';

/** The codes of kept events that adoption may help. */
const ADOPTABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ADOPTION_AMBIGUOUS',
  'SECRET_NOT_OWNED',
  'REFERENCE_FOREIGN',
]);
const PAGE = 200;

interface AdoptParts {
  readonly database: Database;
  readonly context: PlanContext;
  readonly topics: SourceTopics;
  /** The connections that the operator chose, by secret id. */
  readonly chosen: ReadonlyMap<string, string>;
}

/** One secret of the store that a kept event could adopt. */
export interface AdoptCandidate {
  readonly secretId: string;
  readonly claimants: readonly Claimant[];
  readonly verdict: AdoptVerdict;
}

export interface AdoptPlan {
  /** In the order of their ids. */
  readonly candidates: readonly AdoptCandidate[];
  /** Kept events whose secrets all go to their own connection, in the events' order. */
  readonly events: readonly DeadLetterRow[];
  /** How many kept events stay as they are, because one of their secrets is in conflict. */
  readonly left: number;
  /** How many kept events cannot be opened or read, so that nobody knows what they claim. */
  readonly unread: number;
}

/** What a kept event claims, field by field. */
interface EventClaims {
  readonly row: DeadLetterRow;
  readonly claims: readonly (Claimant & { readonly secretId: string })[];
}

/**
 * Finds the secrets of the store that the kept events may adopt. Looks at all claimants first: kept events, stored
 * connections by the ids of their fields, and rows that own or name the secret. Changes nothing.
 */
export async function planAdoption(parts: AdoptParts, signal: AbortSignal): Promise<AdoptPlan> {
  const { kept, unread } = await keptClaims(parts, signal);
  const adoptable = kept.filter(({ row }) => ADOPTABLE.has(row.code));
  const isOwn = await ownedBefore(parts, adoptable);
  const wanted = new Set(adoptable.flatMap((event) => wantedIds(event, isOwn)));
  const claimants = new Map<string, Claimant[]>([...wanted].map((secretId) => [secretId, []]));
  for (const { claims } of kept)
    for (const { secretId, ...claimant } of claims) claimants.get(secretId)?.push(claimant);
  await addStored(parts, claimants, signal);
  const candidates = await judgeAll(parts, claimants, signal);
  const verdicts = new Map(candidates.map(({ secretId, verdict }) => [secretId, verdict]));
  const isFree = (event: EventClaims): boolean =>
    wantedIds(event, isOwn).every((secretId) => {
      const verdict = verdicts.get(secretId);
      return verdict?.kind === 'adopt' && verdict.connectionId === event.row.connectionId;
    });
  const free = adoptable.filter(isFree);
  return {
    candidates,
    events: free.map(({ row }) => row).sort(byOrder),
    left: adoptable.length - free.length,
    unread,
  };
}

async function keptClaims(
  { database, context, topics }: AdoptParts,
  signal: AbortSignal,
): Promise<{ readonly kept: readonly EventClaims[]; readonly unread: number }> {
  const kept: EventClaims[] = [];
  let unread = 0;
  for (let after = ''; !signal.aborted;) {
    const rows = await keptEventsAfter(database, after, PAGE);
    for (const row of rows) {
      const prepared = readKept(row, context, topics);
      if (prepared === null) unread += 1;
      else kept.push({ row, claims: claimsOf(prepared, context) });
      await nextTurn();
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) break;
    after = last.eventHash;
  }
  return { kept, unread };
}

/** Null if the payload cannot be opened or read. */
function readKept(row: DeadLetterRow, context: PlanContext, topics: SourceTopics): PreparedEvent | null {
  const record = openKept(row.payload, context.rings.deadLetter);
  if (record instanceof WorkerError) return null;
  const decoded = decodeRecord(record, topics, Date.now());
  return decoded.kind === 'event' ? prepareEvent(decoded.event, record, context) : null;
}

function claimsOf({ event, fields }: PreparedEvent, context: PlanContext): EventClaims['claims'] {
  const { connectionId, entityType, name, kind } = event;
  if (name === null) return [];
  return (fields ?? []).flatMap(({ found, incoming }) => {
    const secretId = idOrNull(() => context.ids.build(kind, name, found.idPath, connectionId));
    const how = howOf(incoming, secretId);
    if (secretId === null || how === null) return [];
    return [{ secretId, connectionId, entityType, name, path: found.pointer, kind: how }];
  });
}

function howOf(incoming: Incoming, secretId: string | null): ClaimKind | null {
  switch (incoming.kind) {
    case 'reference':
      return incoming.secretId === secretId ? 'refers' : null;
    case 'text':
    case 'mask':
      return 'writes';
    default:
      return null; // the field is empty
  }
}

function idOrNull(build: () => string): string | null {
  try {
    return build();
  } catch (error) {
    if (error instanceof EventError) return null;
    throw error;
  }
}

/** Tells which ids the connections own already. There is nothing to adopt for these. */
async function ownedBefore(
  { database, context }: AdoptParts,
  events: readonly EventClaims[],
): Promise<(connectionId: string, secretId: string) => boolean> {
  const ids = [...new Set(events.flatMap(({ claims }) => claims.map(({ secretId }) => secretId)))];
  const owned = new Set(
    (await holdersOf(database, ids))
      .filter(({ manager }) => manager === context.manager.name)
      .map(({ connectionId, secretId }) => `${connectionId} ${secretId}`),
  );
  return (connectionId, secretId) => owned.has(`${connectionId} ${secretId}`);
}

function wantedIds(
  { row, claims }: EventClaims,
  isOwn: (connectionId: string, secretId: string) => boolean,
): string[] {
  return claims
    .map(({ secretId }) => secretId)
    .filter((secretId) => !isOwn(row.connectionId ?? '', secretId));
}

async function addStored(
  { database, context }: AdoptParts,
  claimants: Map<string, Claimant[]>,
  signal: AbortSignal,
): Promise<void> {
  if (claimants.size === 0) return;
  for (let after: string | null = ''; after !== null && !signal.aborted;) {
    const { fields, next }: Awaited<ReturnType<typeof fieldsAfter>> = await fieldsAfter(
      database,
      after,
      PAGE,
    );
    for (const { connection, path } of fields) {
      const { id: connectionId, name, entityType } = connection;
      const secretId = idOrNull(() => ownIdOf(path, connection, context));
      claimants.get(secretId ?? '')?.push({ connectionId, name, entityType, path, kind: 'has' });
    }
    after = next;
  }
  const ids = [...claimants.keys()];
  for (const { secretId, connectionId } of await holdersOf(database, ids))
    claimants.get(secretId)?.push({ connectionId, name: null, entityType: null, path: null, kind: 'owns' });
  for (const { secretId, connectionId, path } of await referrersOf(database, ids))
    claimants.get(secretId)?.push({ connectionId, name: null, entityType: null, path, kind: 'names' });
}

async function judgeAll(
  { context, chosen }: AdoptParts,
  claimants: ReadonlyMap<string, readonly Claimant[]>,
  signal: AbortSignal,
): Promise<AdoptCandidate[]> {
  const candidates: AdoptCandidate[] = [];
  for (const [secretId, list] of [...claimants].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const inStore = await describe(context, secretId, signal);
    const verdict = judgeClaims(inStore, list, chosen.get(secretId) ?? null);
    candidates.push({ secretId, claimants: distinct(list), verdict });
  }
  return candidates;
}

/** @throws WorkerError if the store gives no clear answer: only its own "not found" means absent */
async function describe({ manager }: PlanContext, secretId: string, signal: AbortSignal): Promise<InStore> {
  const call = { signal, admitWrite: refuseWrite };
  const result = await manager.store.describe(toReference(secretId), call);
  if (result.ok) return result.value;
  if (result.error.class === 'not-found') return null;
  throw new WorkerError(result.error.code, result.error.message);
}

/** Each claim once: a connection may have several kept events that claim the same secret. */
function distinct(claimants: readonly Claimant[]): Claimant[] {
  const byKey = new Map(
    claimants.map((claimant) => [`${claimant.connectionId} ${claimant.kind} ${claimant.path}`, claimant]),
  );
  return [...byKey.values()];
}

function byOrder(left: DeadLetterRow, right: DeadLetterRow): number {
  return keptTimeMs(left) - keptTimeMs(right) || left.createdAtMs - right.createdAtMs;
}
