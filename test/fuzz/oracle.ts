import { inspect } from 'node:util';
import { ERROR_CODES, EventError, type ErrorCode } from '../../src/errors.js';
import { type FailureLog, EventLog } from '../../src/observability/event-log.js';
import { createLogger } from '../../src/observability/index.js';
import { decodeRecord, type Decoded } from '../../src/events/decode.js';
import { decodeSecuredEvent } from '../../src/events/decode-secured.js';
import { decideEvent, type WritePlan } from '../../src/pipeline/plan.js';
import type { PlanContext } from '../../src/pipeline/context.js';
import type { Changes, Decision, LockedState } from '../../src/pipeline/ledger.js';
import { outgoingRecord } from '../../src/pipeline/outbox.js';
import { knownFields, prepareEvent, type PreparedEvent } from '../../src/pipeline/prepare.js';
import { connectionOf } from '../../src/pipeline/undecodable.js';
import { refusal, type Unprocessed, recordHash } from '../../src/pipeline/unprocessed.js';
import { toReference } from '../../src/pipeline/references.js';
import type { OutgoingRecord } from '../../src/transport.js';
import type { Json, RecordOutcome, SourceRecord } from '../../src/terms.js';
import { requireDeadLetterSchema, requireSecuredSchema } from '../harness/schemas.js';
import { newState, stateAfter } from './contexts.js';
import { canariesIn, NOW_MS, TOPICS } from './samples.js';

/** What one record came to, for the statistics. */
export interface Verdict {
  readonly outcome: RecordOutcome | 'later';
  readonly code: ErrorCode | null;
  /** Canaries in it that must not come out. */
  readonly hidden: number;
}

type Undecodable = Extract<Decoded, { kind: 'undecodable' }>;

const EVENT_CODES = new Set(
  Object.entries(ERROR_CODES).flatMap(([code, { kind }]) => (kind === 'event' ? [code] : [])),
);

/**
 * Takes one record through decode → plan → encode and holds what comes out against what is promised: nothing throws, a
 * refusal has a code of the list, records are as docs/schemas says and can be read again, and no text of the input comes
 * out but of places that the catalogue says are plain. Throws what is not so.
 *
 * @param before the state of the connection that the record's event would find; null: it is a new one
 */
export function judge(record: SourceRecord, context: PlanContext, before: LockedState | null): Verdict {
  const decoded = decodeRecord(record, TOPICS, NOW_MS);
  switch (decoded.kind) {
    case 'tombstone':
    case 'ignored':
      return { outcome: decoded.kind, code: null, hidden: 0 };
    case 'undecodable':
      return judgeUndecodable(decoded, record, context);
    case 'event': {
      const prepared = prepareEvent(decoded.event, record, context);
      return judgeEvent(prepared, context, stateFor(decoded.event.connectionId, before));
    }
  }
}

/** Applies an event to a new connection; null where it is none that is applied. */
export function applied(record: SourceRecord, context: PlanContext): LockedState | null {
  const decoded = decodeRecord(record, TOPICS, NOW_MS);
  if (decoded.kind !== 'event') return null;
  const state = newState(decoded.event.connectionId);
  const decision = decideEvent(prepareEvent(decoded.event, record, context), state, context);
  const changes = decision.kind === 'write' ? finished(decision.plan) : changesOf(decision);
  return changes?.connection === undefined ? null : stateAfter(state, changes);
}

function stateFor(connectionId: string, before: LockedState | null): LockedState {
  return before?.connection.id === connectionId ? before : newState(connectionId);
}

function judgeUndecodable(decoded: Undecodable, record: SourceRecord, context: PlanContext): Verdict {
  const { error, eventId } = decoded;
  const connectionId = connectionOf(decoded);
  requireRefusal(error);
  const shown = new Set([
    ...keysOf(parsed(record.value)).flatMap(canariesIn),
    ...canariesIn(`${eventId ?? ''} ${connectionId ?? ''} ${record.topic}`),
  ]);
  requireSound(
    [refusalOf(decoded, record, context)],
    [error],
    shown,
    context,
    logLine(record, 'refused', error.code, eventId, connectionId),
  );
  return { outcome: 'refused', code: error.code, hidden: hiddenIn(record, shown) };
}

/** The rows of a record that no event could be read in. */
export function refusalOf(decoded: Undecodable, record: SourceRecord, context: PlanContext): Changes {
  const event: Unprocessed = {
    eventHash: recordHash(record, context.fingerprintKey),
    digests: null,
    record,
    connectionId: connectionOf(decoded),
    eventId: decoded.eventId,
    actor: null,
    order: { publishedAtMs: record.timestampMs },
    sets: null,
  };
  return refusal(event, decoded.error, NOW_MS, [], context);
}

function judgeEvent(given: PreparedEvent, context: PlanContext, state: LockedState): Verdict {
  // A mask in a plain field counts only where a secret is stored for it.
  const prepared = knownFields(given, state.references);
  const { record, event, fields } = prepared;
  const decision = decideEvent(given, state, context);
  const secret = new Set((fields ?? []).map(({ found }) => found.pointer));
  const { entity, ...plain } = event;
  const shown = new Set([
    ...keysOf(entity).flatMap(canariesIn),
    ...canariesIn(JSON.stringify(plain)),
    // Of an event whose fields could not be told nothing is emitted.
    ...(fields === null
      ? []
      : leavesOf(entity).flatMap(([at, text]) =>
          secret.has(at) || HISTORY.test(at) ? [] : canariesIn(text),
        )),
    ...(fields ?? []).flatMap(({ incoming }) =>
      incoming.kind === 'reference' ? canariesIn(incoming.secretId) : [],
    ),
  ]);
  const errors = [
    prepared.error,
    ...(fields ?? []).map(({ incoming }) => (incoming.kind === 'refused' ? incoming.error : null)),
  ];
  const { outcome, code } = outcomeOf(decision);
  const line = logLine(
    record,
    outcome === 'later' ? 'waiting' : outcome,
    code,
    event.eventId,
    event.connectionId,
    prepared,
  );
  requireSound(allChanges(decision), errors, shown, context, line);
  return { outcome, code, hidden: hiddenIn(record, shown) };
}

/** What became of it, and its code. */
export function outcomeOf(decision: Decision<WritePlan>): {
  outcome: Verdict['outcome'];
  code: ErrorCode | null;
} {
  switch (decision.kind) {
    case 'later':
      return { outcome: 'later', code: null };
    case 'write':
      return { outcome: 'applied', code: null };
    default: {
      const { name, code } = decision.outcome;
      if (code !== null && !EVENT_CODES.has(code)) throw new Error(`${code} is no code of an event`);
      return { outcome: name, code };
    }
  }
}

/** The rows of whatever may become of the event from here. */
function allChanges(decision: Decision<WritePlan>): Changes[] {
  if (decision.kind !== 'write') return [changesOf(decision)].filter((changes) => changes !== null);
  const { plan, changes } = decision;
  const refused = new EventError('VALUE_REFUSED_BY_STORE', 'by the store');
  const given = { elapsedMs: 5, answers: new Map() };
  return [
    changes,
    finished(plan),
    plan.refuse(refused, given),
    plan.wait('STORE_DENIED', 'a permission', given),
  ];
}

function changesOf(decision: Decision<WritePlan>): Changes | null {
  return decision.kind === 'later' ? null : decision.changes;
}

/** The rows of the new state, everything written. */
export function finished({ writes, finish }: WritePlan): Changes {
  const stored = new Map(
    writes.map(({ secretId }) => [
      secretId,
      { reference: toReference(secretId), version: 'v1', effect: 'created' as const },
    ]),
  );
  return finish({ stored, copied: new Map() });
}

function requireSound(
  changes: readonly Changes[],
  errors: readonly (EventError | null)[],
  shown: ReadonlySet<string>,
  context: PlanContext,
  line: string,
): void {
  const records = changes.flatMap(({ outbox = [], secured }) => [
    ...outbox.map((row) => outgoingRecord(row, context.rings.outbox)),
    ...(secured === undefined ? [] : [secured]),
  ]);
  for (const record of records) requireReadable(record, context);
  const refusals = errors.filter((error) => error !== null);
  refusals.forEach(requireRefusal);
  const visible = [
    JSON.stringify(changes),
    line,
    ...records.map(
      ({ key, value, headers }) => `${key}\n${value?.toString() ?? ''}\n${JSON.stringify(headers)}`,
    ),
    ...refusals.map((error) => inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error)),
  ].join('\n');
  const leaked = canariesIn(visible).filter((found) => !shown.has(found));
  if (leaked.length > 0) throw new Error(`came out: ${[...new Set(leaked)].join(', ')}`);
}

function requireRefusal(error: EventError): void {
  if (!(error instanceof EventError) || !EVENT_CODES.has(error.code))
    throw new Error('no refusal of the list');
  if (error.cause !== undefined) throw new Error('a refusal carries a cause');
}

/** As docs/schemas says; and what we read ourselves is what we wrote. */
function requireReadable(record: OutgoingRecord, context: PlanContext): void {
  if (record.stream === 'dead-letter') {
    requireDeadLetterSchema(record);
    return;
  }
  requireSecuredSchema(record);
  const { key, value, headers } = record;
  const source = { topic: 't', partition: 0, offset: 0, timestampMs: NOW_MS, value };
  const event = decodeSecuredEvent({
    ...source,
    key: key === null ? null : Buffer.from(key),
    headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)])),
  });
  if (event?.connectionId !== key || event.manager !== context.manager.name)
    throw new Error('a secured event that is read otherwise than it was written');
}

/** Of the canaries that are in the input, those that must not come out. */
function hiddenIn({ value, headers }: SourceRecord, shown: ReadonlySet<string>): number {
  const text = [value?.toString('utf8') ?? '', ...Object.values(headers).map(String)].join('\n');
  return new Set(canariesIn(text).filter((found) => !shown.has(found))).size;
}

let lines = '';
const log = new EventLog(
  createLogger({ level: 'trace', to: 'stdout', stream: { write: (line: string) => void (lines += line) } }),
  {} as FailureLog,
  { handled: () => undefined, handedBack: () => undefined },
);

/** The line that the event gets. */
function logLine(
  { topic, partition, offset }: SourceRecord,
  outcome: RecordOutcome,
  code: ErrorCode | null,
  eventId: string | null,
  connectionId: string | null,
  prepared?: PreparedEvent,
): string {
  lines = '';
  log.handled({
    record: { topic, partition, offset },
    outcome,
    code,
    eventId,
    connectionId,
    eventType: prepared?.event.eventType ?? null,
    secretFields: prepared?.fields?.length ?? 0,
    writes: 0,
    reported: prepared?.reported ?? [],
    notes: [],
    isAgain: false,
    durationMs: 1,
  });
  return lines;
}

/** The value as JSON, as far as that can be said. */
function parsed(value: Buffer | null): Json {
  return parseOrNull(value?.toString('utf8').replace(/^\ufeff/, '') ?? '');
}

function parseOrNull(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return null;
  }
}

/** Every key, also of JSON texts inside: keys are names, and names may be told. */
function keysOf(value: Json): string[] {
  const keys: string[] = [];
  const walk = (node: Json, depth: number): void => {
    if (typeof node === 'string' && /^\s*[[{]/.test(node)) walk(parseOrNull(node), depth + 1);
    if (typeof node !== 'object' || node === null || depth > 250) return;
    for (const [key, inner] of Object.entries(node)) {
      if (!Array.isArray(node)) keys.push(key);
      walk(inner, depth + 1);
    }
  };
  walk(value, 0);
  return keys;
}

/** Old and new values of fields: nobody's, and dropped. */
const HISTORY = /\/(incrementalC|c)hangeDescription(\/|$)/;

/** Every text below, with its JSON Pointer. */
function leavesOf(value: Json): [pointer: string, text: string][] {
  const leaves: [string, string][] = [];
  const walk = (node: Json, at: string): void => {
    if (typeof node === 'string') leaves.push([at, node]);
    if (typeof node !== 'object' || node === null) return;
    for (const [key, inner] of Object.entries(node))
      walk(inner, `${at}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  };
  walk(value, '');
  return leaves;
}
