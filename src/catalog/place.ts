import type { Json, EntityRoot, JsonObject } from '../terms.js';
import type { PathNode } from './compile.js';
import { formatPointer, parsePointer } from './json-path.js';
import type { KeyMeaning } from './key-names.js';
import { holdsSecret, isStandIn } from './secret-text.js';

/**
 * The keys that identify an array's elements: their `name`s, cleaned and lower-cased. Null if the elements can only be
 * identified by position, because some element has no name, two have the same one, one looks like a position, or one
 * contains a secret (the key becomes part of a secret id).
 *
 * @param cleanSegment cleans one segment for the store's secret ids
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

/** A name of separators only, of which nothing would be left in a secret id. */
const LEAVES_NOTHING = /^[/-]*$/;

function nameOf(element: Json, cleanSegment: (text: string) => string): string | null {
  if (element === null || typeof element !== 'object' || Array.isArray(element)) return null;
  const name = Object.hasOwn(element, 'name') ? element['name'] : undefined;
  if (typeof name !== 'string' || isStandIn(name) || holdsSecret(name)) return null;
  const key = cleanSegment(name).toLowerCase();
  return LEAVES_NOTHING.test(key) || /^\d+$/.test(key) ? null : key;
}

/** An object or array that the finder visits, and the way to it. */
export interface Place {
  readonly value: Json[] | JsonObject;
  readonly parent: Place | null;
  /** Key or position in the parent; '' at the entity itself. */
  readonly segment: string | number;
  /** The nodes of the declared paths that lead here. */
  readonly nodes: readonly PathNode[];
  /** What its key says. An array's elements and an object's `value` inherit it. */
  readonly meaning: KeyMeaning;
  readonly depth: number;
  /** Of an array: the keys of its elements; null if only their positions identify them; undefined until `keysOf` runs. */
  keys: readonly string[] | null | undefined;
}

/** The names of one field. */
export interface FieldNames {
  /** JSON Pointer (RFC 6901) into the entity. */
  readonly pointer: string;
  /** The same, as keys and positions. */
  readonly path: readonly (string | number)[];
  /** The field's identity over time: as `path`, but with the keys of array elements if they have some. */
  readonly keyPath: readonly string[];
  /** The segments of its secret id: `keyPath` below the place where the ids of its kind begin. */
  readonly idPath: readonly string[];
  /** The arrays on the way to it whose elements only their positions identify; null if there are none. */
  readonly positional: null | { readonly arrayPointers: readonly string[] };
}

/** Where the field paths of secret ids begin, for each root (docs/secrets-managers.md). */
const ID_ROOTS: Readonly<Record<EntityRoot, readonly string[]>> = {
  service: ['connection', 'config'],
  bot: ['authenticationMechanism'],
  ingestionPipeline: [],
  workflow: [],
};

/** The members of an entity that configure connections. The others (description, owners, tags) are texts for people. */
const CONFIGURATION: ReadonlySet<string | number> = new Set([
  'connection',
  'authenticationMechanism',
  'sourceConfig',
  'openMetadataServerConnection',
  'request',
  'airflowConfig',
]);

/** Whether a member of a place configures a connection. */
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

/** The places from the entity, which is left out, down to this place. */
function pathTo(place: Place): Place[] {
  const places: Place[] = [];
  for (let at: Place | null = place; at !== null && at.parent !== null; at = at.parent) places.push(at);
  return places.reverse();
}

/** Computes an array's keys once, so that an array of many secrets takes linear time. */
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
 * The segments of a stored field's secret id, from its identity alone: the {@link FieldNames.idPath} that it had when it
 * was found, whatever today's catalogue says.
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
