import { openFieldFinder } from '../../src/worker/worker.js';
import { loadConfig } from '../../src/config.js';
import type { ConnectionRow, InboxRow, StoredSecretRow } from '../../src/database/rows.js';
import { decodeRecord } from '../../src/events/decode.js';
import { sha256Hex } from '../../src/hash.js';
import { createSecretIdBuilder } from '../../src/ids/index.js';
import type { PlanContext } from '../../src/pipeline/context.js';
import type { Changes, DeadLetterHead, LockedState, StoredChanges } from '../../src/pipeline/ledger.js';
import { fingerprintOf, referenceRow } from '../../src/pipeline/references.js';
import { prepareEvent, type PreparedEvent } from '../../src/pipeline/prepare.js';
import { inMemory } from '../../src/secrets-managers/in-memory/provider.js';
import { InMemoryStore, IN_MEMORY_LIMITS } from '../../src/secrets-managers/in-memory/store.js';
import {
  CONNECTION,
  eventRecord,
  MASKED,
  PASSWORD_ID,
  PASSWORD_PATH,
  T0,
} from '../components/pipeline/events.js';
import { MASK, type EventOrder } from '../../src/terms.js';
import type { History } from './history.js';
import { AT_ONCE } from './commit.js';
import { toPublish, type Row, type State, type Value } from './state.js';
import { testOwnership } from '../harness/ownership.js';

/** Converts the model's states into the code's own data, and back, to compare the code's decisions in every state. */

export const NOW_MS = T0 + 3_600_000;
export const LATE_MS = 60_000;
export const GRACE_MS = 86_400_000;
const KEY = Buffer.alloc(32, 7);
/** Seals nothing: only decisions are compared. */
const OPEN_RING = {
  primaryKeyId: '',
  seal: (text: string): string => text,
  sealRepeatably: (text: string): string => text,
  open: (text: string): string => text,
};

export function realContext(): PlanContext {
  const config = loadConfig(
    { FERNET_KEY: 'mJ3wQx2mD0vJb0nqk3p0v9u3a1ZkXb7mV2c5t8y1R4E=' },
    { need: ['keys'] },
  );
  return {
    manager: {
      name: 'in-memory',
      provider: 'in-memory',
      capabilities: inMemory.capabilities,
      location: {},
      keeps: 'store',
      idStyle: 'slash',
      limits: IN_MEMORY_LIMITS,
      store: new InMemoryStore(testOwnership()),
    },
    ids: createSecretIdBuilder({
      idStyle: 'slash',
      strict: false,
      prefix: '',
      cluster: 'openmetadata',
      maxIdLength: 512,
    }),
    fields: openFieldFinder(config),
    rings: {
      database: OPEN_RING,
      publisher: OPEN_RING,
      ingestion: OPEN_RING,
      deadLetter: OPEN_RING,
      outbox: OPEN_RING,
    },
    fingerprintKey: KEY,
    generation: T0,
    rules: {
      adopt: false,
      grants: null,
      sourceValues: 'any',
      maskedSecretOnNewEndpoint: 'allow',
      secretQuoted: 'mask',
      allowedReferencePrefixes: [],
      publisherTokens: 'any',
      graceMs: GRACE_MS,
      waitMs: 600_000,
      lateRequestMs: LATE_MS,
    },
    output: { references: 'plain', format: 'structured', maxRecordBytes: () => 1_000_000 },
  };
}

const TOPICS = {
  created: 'connection.created',
  updated: 'connection.updated',
  deleted: 'connection.deleted',
};

export function realEvents(history: History, context: PlanContext, isLastTry: boolean): PreparedEvent[] {
  return history.events.map(({ kind, order, partition, offset }) => {
    const password = { A: 'text A', B: 'text B', m: MASKED, n: null, D: null }[kind];
    const eventType = kind === 'D' ? 'entityDeleted' : 'entityUpdated';
    const spec = { at: order, eventId: `event-${order}`, eventType, password };
    const topic = partition === 0 ? TOPICS.created : TOPICS.updated;
    const record = eventRecord(spec, { topic, partition: 0, offset });
    const decoded = decodeRecord(record, TOPICS, NOW_MS);
    if (decoded.kind !== 'event') throw new Error(`the event of ${history.text} cannot be decoded`);
    return prepareEvent(decoded.event, record, context, { isLastTry });
  });
}

/** The model's marks are epochs, and the code's are times. A new mark has a later time than those that were there. */
const OLD_MARK_MS = NOW_MS + 5;
export const NEW_EPOCH = 1_000;

export function realStored(own: Row): StoredSecretRow[] {
  if (own.st === 'none') return [];
  return [
    {
      manager: 'in-memory',
      secretIdHash: sha256Hex(PASSWORD_ID),
      secretId: PASSWORD_ID,
      connectionId: CONNECTION,
      state: own.st,
      epoch: 1,
      version: own.ver === 0 ? null : String(own.ver),
      suspectUntilMs: own.sus === 0 ? null : OLD_MARK_MS,
      dueAtMs: own.st === 'deleting' ? OLD_MARK_MS : own.st === 'retired' ? NOW_MS : null,
      updatedAtMs: T0,
    },
  ];
}

export function realState(
  state: State,
  events: readonly PreparedEvent[],
  number: number,
  context: PlanContext,
): LockedState {
  const { reference } = state;
  const orderOf = (order: number) => (events[order - 1] as PreparedEvent).order;
  const prepared = events[number] as PreparedEvent;
  const inbox = state.inbox[number] ?? '';
  return {
    nowMs: NOW_MS,
    nextEpoch: 2,
    connection: connectionRow(state, state.applied === 0 ? null : orderOf(state.applied)),
    references:
      reference === null
        ? []
        : [
            referenceRow(
              {
                connectionId: CONNECTION,
                path: PASSWORD_PATH,
                pointer: PASSWORD_PATH,
                setOrder: orderOf(reference.order),
                content: {
                  holds: 'reference',
                  secretId: PASSWORD_ID,
                  owned: true,
                  fingerprint: fingerprint(reference.value),
                },
              },
              context,
            ),
          ],
    stored: realStored(state.rows[0] as Row),
    foreign: [],
    referrers: [],
    namesakes: [],
    namedUnder: new Map(reference === null ? [] : [[PASSWORD_ID, ['in-memory' as const]]]),
    inbox:
      inbox === '' ? null : ({ eventHash: prepared.eventHash, outcome: inbox, digest: null } as InboxRow),
    reusedInbox: null,
    deadLetters: state.kept.flatMap((kept, other) =>
      kept === '' ? [] : [deadLetter(kept, events[other] as PreparedEvent)],
    ),
    hasUnsent: toPublish(state).length > 0,
  };
}

function fingerprint(value: Value): string {
  return fingerprintOf(KEY, CONNECTION, PASSWORD_PATH, `text ${value}`);
}

function connectionRow(state: State, appliedOrder: ConnectionRow['appliedOrder']): ConnectionRow {
  const isNew = state.status === 'new';
  return {
    id: CONNECTION,
    entityType: isNew ? null : 'databaseService',
    root: isNew ? null : 'service',
    kind: isNew ? null : 'database',
    serviceType: isNew ? null : 'Mysql',
    name: isNew ? null : 'mysql-test',
    fullyQualifiedName: isNew ? null : 'mysql-test',
    version: isNew ? null : 0.1,
    state: state.status,
    manager: isNew ? null : 'in-memory',
    revision: state.revision,
    operation: isNew ? null : 'updated',
    entity:
      state.status === 'live'
        ? JSON.stringify({
            name: 'mysql-test',
            connection: { config: { password: state.reference === null ? null : MASK } },
          })
        : null,
    appliedOrder,
    eventId: null,
    securedFrom: null,
    unpublishedSinceMs: state.unpublished ? T0 : null,
    claimOwner: null,
    claimEpoch: 1,
    claimExpiresAtMs: 0,
    createdAtMs: T0,
    updatedAtMs: T0,
  };
}

function deadLetter(state: 'waiting' | 'dead', { eventHash, order, fields }: PreparedEvent): DeadLetterHead {
  const sets = (fields ?? []).filter(({ incoming }) => incoming.kind === 'text').map(({ path }) => path);
  const code = state === 'waiting' ? 'MASK_WITHOUT_ORIGINAL' : 'VALUE_REFUSED_BY_STORE';
  const times = { waitUntilMs: null, nextAttemptAtMs: null, createdAtMs: T0, updatedAtMs: T0 };
  const place = { topic: order.topic, partition: order.partition, position: order.offset };
  const head = { eventHash, connectionId: CONNECTION, state, code, detail: '', eventId: null } as const;
  return { ...head, ...place, ...times, eventOrder: order, sets, attempts: 1 };
}

/** The row after these changes, in the model's words. A new mark is {@link NEW_EPOCH}. */
export function modelRow(own: Row, changes: StoredChanges | undefined): Row {
  const written = [
    ...(changes?.insert ?? []),
    ...(changes?.update ?? []),
    ...(changes?.revive ?? []).map((revived) => revived.row),
  ].at(-1);
  if (written === undefined) return own;
  const { state, version, suspectUntilMs, dueAtMs } = written;
  const marks = new Map([
    [null, 0],
    [NOW_MS, AT_ONCE],
    [NOW_MS + LATE_MS, NEW_EPOCH],
  ]);
  const sus = marks.get(suspectUntilMs) ?? own.sus;
  return {
    st: state,
    ver: Number(version ?? 0),
    sus,
    due: state !== 'deleting' ? 0 : dueAtMs === NOW_MS + LATE_MS ? NEW_EPOCH : own.due,
  };
}

/** The state that a commit gives the connection, in the model's words. */
export function modelChanges(changes: Changes, events: readonly PreparedEvent[]) {
  const orderOf = (one: EventOrder | null | undefined): number =>
    events.findIndex(({ order }) => order.timestampMs === one?.timestampMs) + 1;
  const [reference] = changes.references?.set ?? [];
  return {
    status: changes.connection?.state ?? null,
    applied: orderOf(changes.connection?.appliedOrder),
    revision: changes.connection?.revision ?? null,
    reference:
      reference === undefined
        ? null
        : {
            order: orderOf(reference.setOrder),
            value: (['A', 'B'] as const).find((value) => fingerprint(value) === reference.fingerprint),
          },
    inbox: changes.inbox?.outcome ?? null,
    removed: (changes.deadLetters?.removeEventHashes ?? []).map((hash) =>
      events.findIndex(({ eventHash }) => eventHash === hash),
    ),
    kept: changes.deadLetters?.set.at(-1)?.state ?? changes.deadLetters?.update?.at(-1)?.state ?? null,
  };
}
