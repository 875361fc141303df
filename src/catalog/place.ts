import type { Json, EntityRoot, JsonObject } from '../terms.js';
import type { PathNode } from './compile.js';
import { formatPointer, parsePointer } from './json-path.js';
import type { KeyMeaning } from './key-names.js';
import { holdsSecret, isStandIn } from './secret-text.js';

/**
 * The keys that tell an array's elements apart: their `name`s, cleaned and lower-cased, where every
 * element has one, they are unique, none looks like a position and none carries a secret (the key becomes part of a
 * secret id). Null: the elements are told apart by position only.
 *
 * @param cleanSegment how the store's secret ids write one segment
 */
function arrayKeys(
  elements: readonly Json[],
  cleanSegment: (text: string) => string,
): readonly string[] | null {
  const keys: string[] = [];
  const seen = new Set<string>();
  for (const element of elements) {
    const key = nameOf(element, cleanSegment);
    if (key === null || seen.has(key)) return null;
    seen.add(key);
    keys.push(key);
  }
  return keys;
}

/** Separators of secret ids only: no segment of an id would be left of such a name. */
const LEAVES_NOTHING = /^[/-]*$/;

function nameOf(element: Json, cleanSegment: (text: string) => string): string | null {
  if (element === null || typeof element !== 'object' || Array.isArray(element)) return null;
  const name = Object.hasOwn(element, 'name') ? element['name'] : undefined;
  if (typeof name !== 'string' || isStandIn(name) || holdsSecret(name)) return null;
  const key = cleanSegment(name).toLowerCase();
  return LEAVES_NOTHING.test(key) || /^\d+$/.test(key) ? null : key;
}

/** An object or array on the finder's way, with what led to it. */
export interface Place {
  readonly value: Json[] | JsonObject;
  readonly parent: Place | null;
  /** Key or position in the parent; '' at the entity itself. */
  readonly segment: string | number;
  /** The declared places that this one is. */
  readonly nodes: readonly PathNode[];
  /** What the key that led here says: an array's elements and an object's `value` inherit it. */
  readonly meaning: KeyMeaning;
  readonly depth: number;
  /** Of an array, once asked for: the names of its elements, null where they are told apart by position. */
  keys: readonly string[] | null | undefined;
}

/** How one field is named: to people and programs, in the data, over time, and in the store. */
export interface FieldNames {
  readonly pointer: string;
  readonly path: readonly (string | number)[];
  readonly keyPath: readonly string[];
  readonly idPath: readonly string[];
  readonly positional: null | { readonly arrayPointers: readonly string[] };
}

/** Where the field paths of secret ids begin (docs/secrets-managers.md). */
const ID_ROOTS: Readonly<Record<EntityRoot, readonly string[]>> = {
  service: ['connection', 'config'],
  bot: ['authenticationMechanism'],
  ingestionPipeline: [],
  workflow: [],
};

/** Members of an entity by which something connects; the others (description, owners, tags) are for people to read. */
const CONFIGURATION: ReadonlySet<string | number> = new Set([
  'connection',
  'authenticationMechanism',
  'sourceConfig',
  'openMetadataServerConnection',
  'request',
  'airflowConfig',
]);

/** Whether a member of a place is part of what connects. */
export function isConfiguration(parent: Place, segment: string | number): boolean {
  return CONFIGURATION.has(pathTo(parent)[0]?.segment ?? segment);
}

/** The pointer of a member of a place. */
export function pointerOf(parent: Place, segment: string | number): string {
  return formatPointer([...pathTo(parent).map((place) => place.segment), segment]);
}

/** All names of a member of a place. */
export function namesOf(
  parent: Place,
  segment: string | number,
  root: EntityRoot,
  cleanSegment: (text: string) => string,
): FieldNames {
  const path: (string | number)[] = [];
  const keyPath: string[] = [];
  const arrayPointers: string[] = [];
  const addStep = (from: Place, step: string | number): void => {
    if (Array.isArray(from.value)) {
      const name = keysOf(from, cleanSegment)?.[Number(step)];
      if (name === undefined) arrayPointers.push(formatPointer(path));
      keyPath.push(name ?? String(step));
    } else {
      keyPath.push(String(step));
    }
    path.push(step);
  };
  for (const place of pathTo(parent)) if (place.parent !== null) addStep(place.parent, place.segment);
  addStep(parent, segment);
  return {
    pointer: formatPointer(path),
    path,
    keyPath,
    idPath: belowRoot(keyPath, ID_ROOTS[root]),
    positional: arrayPointers.length === 0 ? null : { arrayPointers },
  };
}

/** From the entity (left out) down to the place. */
function pathTo(place: Place): Place[] {
  const places: Place[] = [];
  for (let at: Place | null = place; at !== null && at.parent !== null; at = at.parent) places.push(at);
  return places.reverse();
}

/** Asked once per array, so that an array of many secrets costs linear time. */
function keysOf(array: Place, cleanSegment: (text: string) => string): readonly string[] | null {
  if (array.keys === undefined) {
    // A name that is a secret itself must not become part of an id.
    const nameIsSecret = array.nodes.some(
      (node) => (node.children.get('name') ?? node.any)?.mark === 'secret',
    );
    array.keys = nameIsSecret || !Array.isArray(array.value) ? null : arrayKeys(array.value, cleanSegment);
  }
  return array.keys;
}

/**
 * The segments of the secret id of a field that is known by its identity alone: what {@link FieldNames.idPath} was when
 * it was found, whatever today's catalogue says of it.
 *
 * @param path the field's `keyPath` as a JSON Pointer
 */
export function idPathOf(path: string, root: EntityRoot): readonly string[] {
  return belowRoot(parsePointer(path) ?? [], ID_ROOTS[root]);
}

function belowRoot(keyPath: readonly string[], root: readonly string[]): readonly string[] {
  const isBelow = keyPath.length > root.length && root.every((key, position) => keyPath[position] === key);
  return isBelow ? keyPath.slice(root.length) : keyPath;
}
