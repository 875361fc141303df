import type { FoundField } from '../catalog/field-finder.js';
import type { ReferenceRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import type { JsonObject } from '../terms.js';
import { differencesOf, pointerOfStep } from './differences.js';
import { FieldNames, type NamedFields } from './named-fields.js';
import { EndpointChanges, goesOnUnseen, mayHoldEndpoint } from './new-endpoint.js';
import type { RuledField } from './new-references.js';
import type { Encounter } from './new-state.js';
import type { Quotes } from './quotes.js';

/**
 * What the audit says of a new state as a whole, beside what happened to each secret: who changed which fields, and what
 * somebody should look at. No values.
 */
export interface Note {
  readonly action: 'apply' | 'migrate' | 'mask-on-new-endpoint' | 'quoted';
  readonly detail: string | null;
  readonly fields: NamedFields | null;
}

/** Whether somebody should look at it; the others only say who did what. */
export function isNotable({ action }: Note): boolean {
  return action !== 'apply' && action !== 'migrate';
}

/** A new state as its notes are made from it. */
export interface Change {
  /** The entity as it is stored; null: there is none. */
  readonly before: JsonObject | null;
  /** The event's entity. Values of its secret fields are looked at by nobody. */
  readonly after: JsonObject;
  readonly ruled: readonly RuledField[];
  readonly rows: readonly ReferenceRow[];
  /** Of a patch: what `before` quotes of the values that are set now. */
  readonly quotes?: Quotes | null;
}

/** Notes of an event that is the connection's newest state. @throws EventError MASKED_SECRET_ON_NEW_ENDPOINT */
export function notesOfState(encounter: Encounter, change: Change): Note[] {
  const { state, prepared } = encounter;
  const fields = prepared.fields ?? [];
  const secrets = new Set(fields.map(({ found }) => found.pointer));
  const known = new Set(state.references.map(({ pointer }) => pointer));
  const because = new Map(fields.map(({ path, found }) => [path, found.because]));
  const changed = changedSecrets(state.references, change.rows);
  const names = new FieldNames(prepared.quotes?.hides);
  for (const { pointer } of changed) names.add('secret', () => pointer);
  const endpoint = new FieldNames(prepared.quotes?.hides);
  for (const row of changed) addSecretEndpoint(endpoint, row, because);
  const endpoints = new EndpointChanges();
  for (const difference of differencesOf(change.before, change.after)) {
    const pointer = pointerOfStep(difference.at);
    if (!secrets.has(pointer) && endpoints.isOne(difference)) endpoint.add('plain', () => pointer);
    if (!secrets.has(pointer) && !known.has(pointer)) names.add('plain', () => pointer);
  }
  const seen = { action: 'apply', detail: detailOf(encounter), fields: names.fields } as const;
  return [seen, ...notesOfQuotes(prepared.quotes), ...noteOfEndpoint(encounter, endpoint, change)];
}

/**
 * Notes of an older event that still sets some fields. Their values were meant for the endpoint that it names; a newer one,
 * which only masked them, may have named another.
 */
export function notesOfPatch(encounter: Encounter, change: Change): Note[] {
  const { state, prepared } = encounter;
  const secrets = new Set([
    ...(prepared.fields ?? []).map(({ found }) => found.pointer),
    ...state.references.map(({ pointer }) => pointer),
  ]);
  const names = new FieldNames();
  for (const { pointer } of changedSecrets(state.references, change.rows)) names.add('secret', () => pointer);
  const endpoint = new FieldNames();
  const endpoints = new EndpointChanges();
  for (const difference of differencesOf(change.before, change.after)) {
    const pointer = pointerOfStep(difference.at);
    if (!secrets.has(pointer) && endpoints.isOne(difference)) endpoint.add('plain', () => pointer);
  }
  const detail = `late, sets what newer events masked: ${detailOf(encounter)}`;
  const seen = { action: 'apply', detail, fields: names.fields } as const;
  return [
    seen,
    ...notesOfQuotes(change.quotes ?? null),
    ...noteOfEndpoint(encounter, endpoint, { ...change, isLate: true }),
  ];
}

/** One for what was replaced, one for what was left. */
function notesOfQuotes(quotes: Quotes | null): Note[] {
  if (quotes === null) return [];
  const noteOf = (pointers: readonly string[], detail: string): Note[] => {
    const names = new FieldNames(quotes.hides);
    for (const pointer of pointers) names.add('plain', () => pointer);
    return names.isEmpty ? [] : [{ action: 'quoted', detail, fields: names.fields }];
  };
  return [...noteOf(quotes.masked, 'replaced by the mask'), ...noteOf(quotes.left, 'left as it is')];
}

export function notesOfDeletion(encounter: Encounter): Note[] {
  const names = new FieldNames();
  for (const { pointer } of encounter.state.references) names.add('secret', () => pointer);
  return [{ action: 'apply', detail: detailOf(encounter), fields: names.fields }];
}

export function notesOfMove({ state, context }: Pick<Encounter, 'state' | 'context'>): Note[] {
  return [
    { action: 'migrate', detail: moveOf(state.connection.manager, context.manager.name), fields: null },
  ];
}

function noteOfEndpoint(
  { prepared, state, context }: Encounter,
  endpoint: FieldNames,
  { ruled, before, isLate = false }: Change & { readonly isLate?: boolean },
): Note[] {
  if (endpoint.isEmpty || before === null) return [];
  const names = new FieldNames();
  const sent = isLate ? ruled : ruled.filter(goesOnUnseen);
  for (const { field } of sent) names.add('secret', () => field.found.pointer);
  if (names.isEmpty) return [];
  const { plain, secret, more } = endpoint.fields;
  const moved = [...secret, ...plain];
  if (context.rules.maskedSecretOnNewEndpoint === 'refuse')
    throw new EventError(
      'MASKED_SECRET_ON_NEW_ENDPOINT',
      `${listOf(names.fields.secret, names.fields.more)}: masked, while ${listOf(moved, more)} changed`,
      moved[0] ?? null,
    );
  const fields = { plain: moved, secret: names.fields.secret, more: more + names.fields.more };
  const name = state.connection.name ?? prepared.event.name;
  const detail = isLate ? `a late value goes where a newer event moved ${name ?? ''}` : `of ${name ?? ''}`;
  return [{ action: 'mask-on-new-endpoint', detail, fields }];
}

const MOST_LISTED = 10;

function listOf(pointers: readonly string[], more: number): string {
  const rest = more + Math.max(0, pointers.length - MOST_LISTED);
  return pointers.slice(0, MOST_LISTED).join(', ') + (rest === 0 ? '' : ` and ${rest} more`);
}

/** Rows of fields that got another value, or lost theirs. A value that only moved to another name is the same. */
function changedSecrets(before: readonly ReferenceRow[], after: readonly ReferenceRow[]): ReferenceRow[] {
  const previous = new Map(before.map((row) => [row.path, row]));
  const now = new Set(after.map(({ path }) => path));
  const set = after.filter((row) => !isSameValue(previous.get(row.path), row));
  return [...set, ...before.filter(({ path }) => !now.has(path))];
}

function isSameValue(before: ReferenceRow | undefined, after: ReferenceRow): boolean {
  if (before === undefined) return false;
  if (before.fingerprint !== null || after.fingerprint !== null)
    return before.fingerprint === after.fingerprint;
  return before.holds === after.holds && before.referenceHash === after.referenceHash;
}

function addSecretEndpoint(
  endpoint: FieldNames,
  { path, pointer }: ReferenceRow,
  because: ReadonlyMap<string, FoundField['because']>,
): void {
  if (mayHoldEndpoint({ path, because: because.get(path) ?? null })) endpoint.add('secret', () => pointer);
}

function detailOf({ prepared, state, context }: Encounter): string {
  const { eventType, entityType, name } = prepared.event;
  const { connection } = state;
  const renamed = connection.name !== null && name !== null && connection.name !== name;
  const moved = connection.manager !== null && connection.manager !== context.manager.name;
  return [
    `${eventType} ${entityType} ${name ?? connection.name ?? ''}`.trimEnd(),
    ...(renamed ? [`was ${connection.name}`] : []),
    ...(moved ? [moveOf(connection.manager, context.manager.name)] : []),
  ].join(', ');
}

function moveOf(from: string | null, to: string): string {
  return `from ${from ?? ''} to ${to}`;
}
