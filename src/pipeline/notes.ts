import type { FoundField } from '../catalog/field-finder.js';
import {
  isSecretKeyText,
  endpointMeaningOf,
  isAddress,
  type EndpointMeaning,
} from '../catalog/field-rules.js';
import { formatPointer, parsePointer } from '../catalog/json-path.js';
import type { ReferenceRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import type { JsonObject, Json } from '../terms.js';
import { differencesOf, pointerOfStep, leavesOf, type Difference, type Step } from './entity.js';
import type { RuledField, Encounter } from './new-state.js';
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
interface Change {
  /** The entity as it is stored; null: there is none. */
  readonly before: JsonObject | null;
  /** The event's entity. Nobody looks at values of its secret fields. */
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

/** Fields of an entity by their JSON Pointers, for the audit: no values, and never more than a row may hold. */
export interface NamedFields {
  readonly plain: readonly string[];
  readonly secret: readonly string[];
  /** How many there are besides. */
  readonly more: number;
}

const MOST_FIELDS = 100;
const MOST_CHARACTERS = 8_192;
const LONGEST_KEY = 100;

/** Collects pointers up to a bound and counts the rest. Secret fields go first: call for them before the plain ones. */
class FieldNames {
  readonly #names = { plain: [] as string[], secret: [] as string[] };
  readonly #hides: (key: string) => boolean;
  #more = 0;
  #characters = 0;

  /** @param hides keys that must not be shown: they quote a secret */
  constructor(hides: (key: string) => boolean = () => false) {
    this.#hides = hides;
  }

  add(kind: 'plain' | 'secret', pointer: () => string): void {
    const count = this.#names.plain.length + this.#names.secret.length;
    if (count >= MOST_FIELDS || this.#characters >= MOST_CHARACTERS) {
      this.#more += 1;
      return;
    }
    const shown = this.#shown(pointer());
    if (this.#characters + shown.length > MOST_CHARACTERS) {
      this.#more += 1;
      return;
    }
    this.#characters += shown.length;
    this.#names[kind].push(shown);
  }

  get isEmpty(): boolean {
    return this.#names.plain.length + this.#names.secret.length + this.#more === 0;
  }

  get fields(): NamedFields {
    return { ...this.#names, more: this.#more };
  }

  /** Keys come from events and may hold anything. */
  #shown(pointer: string): string {
    const keys = parsePointer(pointer) ?? [];
    return formatPointer(
      keys.map((key) => {
        if (isSecretKeyText(key) || this.#hides(key)) return '[hidden]';
        return key.length > LONGEST_KEY ? `${key.slice(0, LONGEST_KEY).toWellFormed()}…` : key;
      }),
    );
  }
}

/**
 * Members of an entity that its connector reads. Everything else describes it: owners and tags have addresses of their own
 * that nobody dials.
 */
export const CONFIGURATION: ReadonlySet<string | number> = new Set([
  'connection',
  'authenticationMechanism',
  'sourceConfig',
  'openMetadataServerConnection',
  'airflowConfig',
  'request',
  'serviceType',
]);

/** Tells of a difference whether it may send the connection's secrets to somebody else. */
class EndpointChanges {
  readonly #meanings = new Map<Step, EndpointMeaning>();

  isOne({ at, before, after }: Difference): boolean {
    if (!isConfiguration(at)) return false;
    for (const value of [before, after])
      for (const leaf of leavesOf(value, at)) if (this.#isEndpoint(leaf.at, leaf.value)) return true;
    return false;
  }

  #isEndpoint(at: Step, value: Json): boolean {
    const meaning = this.#meaningAt(at);
    return meaning === 'endpoint' || (meaning === 'other' && isAddress(value));
  }

  /** That of the nearest key which says something; asked once for each place. */
  #meaningAt(step: Step): EndpointMeaning {
    const open: Step[] = [];
    let meaning: EndpointMeaning | undefined;
    for (let at: Step | null = step; at !== null && meaning === undefined; at = at.parent) {
      meaning = this.#meanings.get(at);
      if (meaning === undefined) open.push(at);
    }
    meaning ??= 'other';
    for (const at of open.reverse()) {
      const own = typeof at.segment === 'number' ? 'other' : endpointMeaningOf(at.segment);
      if (own !== 'other' && meaning !== 'endpoint') meaning = own;
      this.#meanings.set(at, meaning);
    }
    return meaning;
  }
}

/** Whether the address itself may be part of a field's secret, or was: all of it is masked, so it cannot be compared. */
function mayHoldEndpoint({
  path,
  because,
}: {
  path: string;
  because: FoundField['because'] | null;
}): boolean {
  return because === 'url' || isEndpointPath(parsePointer(path) ?? []);
}

/** A secret's own key only: that of a password in `connectionOptions` says nothing of where it goes. */
function isEndpointPath(path: readonly string[]): boolean {
  const key = path.findLast((segment) => !/^\d+$/.test(segment)) ?? '';
  return endpointMeaningOf(key) === 'endpoint' && !SECRET_ABOUT_ENDPOINT.test(key);
}

/** `accountKey`, `sslKey`, `proxyPassword`: secrets that are named after an endpoint and hold none. */
const SECRET_ABOUT_ENDPOINT = /(?:key|secret|token|password|passphrase|certificate|pwd|credentials?)$/i;

function isConfiguration(step: Step): boolean {
  let top = step;
  while (top.parent !== null) top = top.parent;
  return CONFIGURATION.has(top.segment);
}

/**
 * Fields whose secret goes on although the event does not have its text: masked, or named by a reference to what the
 * connection has. Who wrote the event need not know it.
 */
function goesOnUnseen({ field, ruling }: RuledField): boolean {
  const { kind } = field.incoming;
  if (kind === 'mask') return true;
  if (kind !== 'reference') return false;
  return ruling.kind === 'keep' || ruling.kind === 'copy' ? true : ruling.kind === 'refer' && ruling.owned;
}
