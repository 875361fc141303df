import { EventError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { EntityRoot, Json, JsonObject } from '../terms.js';
import {
  type CompiledCatalogue,
  type PathNode,
  declaredNodes,
  nestedNodes,
  type FindTarget,
} from './compile.js';
import { findingOf, isSecretKeyText, standsForSecret, type TextFinding } from './field-rules.js';
import { type KeyMeaning, meaningOfMember, typeOf } from './key-names.js';
import { isConfiguration, namesOf, pointerOf, type FieldNames, type Place } from './place.js';
import { isSealedText, meaningOfElement } from './secret-text.js';

export type { FindTarget } from './compile.js';

/** Deeper entities are refused: nothing real comes near, and other programs read what we publish. */
export const MAX_ENTITY_DEPTH = 1000;

/**
 * One secret field of an entity.
 *
 * - `pointer`: RFC 6901, into the entity; `path`: the same as keys and positions
 * - `keyPath`: the field's identity over time, from the entity: elements of arrays by their cleaned name where all have
 *   one of their own, else by position
 * - `idPath`: the segments of its secret id: `keyPath` below the place where the ids of its kind begin
 * - `value`: null where the field is there and empty
 * - `because`: a schema declares it; its key says it; its text is a URL or the like; its text stands for a secret; a part of
 *   its text is hidden
 * - `positional`: the arrays on its way whose elements are told apart by position only
 * - `onlyIfStored`: it is a secret field where the connection has this field's secret already, and else left as it is: a text
 *   that nothing but its stars tells, and, with `SECRET_BY_NAME=report`, a mask or reference that no schema declares
 */
export interface FoundField extends FieldNames {
  readonly value: string | null;
  readonly because: 'declared' | TextFinding['because'];
  readonly onlyIfStored: boolean;
}

export interface FoundFields {
  readonly fields: readonly FoundField[];
  /** Pointers of what `SECRET_BY_NAME=report` left as it is. */
  readonly reported: readonly string[];
}

export interface FieldFinder {
  /**
   * All secret fields of an entity. Reads only; linear in the entity's size.
   * @throws EventError `EVENT_TOO_LARGE`, `FIELD_NOT_A_STRING`, `SECRET_BY_NAME_REFUSED`, `CONNECTOR_UNKNOWN`, `EVENT_TOO_DEEP`,
   *   `EVENT_INVALID` (a key that is itself a URL with a password)
   */
  find(target: FindTarget): FoundFields;
}

export interface FieldFinderParts {
  readonly catalogue: CompiledCatalogue;
  /** How the secret ids of the configured store write one segment; '' where nothing of it is left. Must not throw. */
  readonly cleanSegment: (text: string) => string;
}

export function createFieldFinder(parts: FieldFinderParts): FieldFinder {
  return {
    find: (target) => new Search(parts, target).run(),
  };
}

/** What an entity is called is part of its secret ids and of every log line: never a secret field. */
const IDENTITY_MEMBERS: ReadonlySet<string> = new Set(['id', 'name', 'fullyQualifiedName', 'serviceType']);

/** One search through one entity, with a stack of its own instead of recursion. */
class Search {
  private readonly fields: FoundField[] = [];
  private readonly reported: string[] = [];
  private readonly stack: Place[] = [];
  private nameCharacters = 0;
  private readonly catalogue: CompiledCatalogue;
  private readonly cleanSegment: (text: string) => string;
  private readonly root: EntityRoot;

  constructor(
    parts: FieldFinderParts,
    private readonly target: FindTarget,
  ) {
    this.catalogue = parts.catalogue;
    this.cleanSegment = parts.cleanSegment;
    this.root = target.root;
  }

  run(): FoundFields {
    const nodes = declaredNodes(this.catalogue, this.target);
    this.stack.push({
      value: this.target.entity,
      parent: null,
      segment: '',
      nodes,
      meaning: 'plain',
      depth: 0,
      keys: undefined,
    });
    for (let place = this.stack.pop(); place !== undefined; place = this.stack.pop()) {
      if (Array.isArray(place.value)) this.visitElements(place, place.value);
      else this.visitMembers(place, place.value);
    }
    return { fields: this.fields, reported: this.reported };
  }

  /** Elements are where their array is: declared paths need not say that there is one. */
  private visitElements(place: Place, elements: readonly Json[]): void {
    let previous: Json = null;
    elements.forEach((element, position) => {
      this.visit(place, position, element, place.nodes, meaningOfElement(previous, place.meaning));
      previous = element;
    });
  }

  private visitMembers(place: Place, members: JsonObject): void {
    for (const key of Object.keys(members)) {
      if (place.parent === null && IDENTITY_MEMBERS.has(key)) continue;
      const nodes = step(place.nodes, key);
      if (nodes.some((node) => node.mark === 'excluded')) continue;
      if (isSecretKeyText(key)) this.refuseKey(place);
      this.visit(place, key, members[key] as Json, nodes, meaningOfMember(members, key, place.meaning));
    }
  }

  private visit(
    parent: Place,
    segment: string | number,
    value: Json,
    nodes: readonly PathNode[],
    meaning: KeyMeaning,
  ): void {
    const isDeclared = nodes.some((node) => node.mark === 'secret');
    if (value !== null && typeof value === 'object') {
      this.enter(parent, segment, value, nodes, meaning, isDeclared);
    } else if (typeof value === 'boolean' || typeof value === 'number') {
      if (isDeclared) this.refuseType(parent, segment, value);
      // A number is no token (maxTokens), but under a password's key it is a password that would go out in clear.
      if (typeof value === 'number' && meaning === 'password')
        this.refuseOrReportNumber(parent, segment, value);
    } else if (isDeclared) {
      this.add(parent, segment, value, 'declared');
    } else {
      this.addByName(parent, segment, value, meaning);
    }
  }

  private enter(
    parent: Place,
    segment: string | number,
    value: Json[] | JsonObject,
    nodes: readonly PathNode[],
    meaning: KeyMeaning,
    isDeclared: boolean,
  ): void {
    const depth = parent.depth + 1;
    if (depth > MAX_ENTITY_DEPTH) {
      throw new EventError('EVENT_TOO_DEEP', `The entity is nested deeper than ${MAX_ENTITY_DEPTH} levels.`);
    }
    let all = nodes;
    if (!Array.isArray(value)) {
      // Versions differ: what one declares as a string holds secrets of its own in another.
      if (isDeclared && !nodes.some(hasBelow)) this.refuseType(parent, segment, value);
      const own = nestedNodes(this.catalogue, this.target.kind, value).filter(
        (node) => !nodes.includes(node),
      );
      if (own.length > 0) all = [...nodes, ...own];
    }
    this.stack.push({ value, parent, segment, nodes: all, meaning, depth, keys: undefined });
  }

  private addByName(
    parent: Place,
    segment: string | number,
    value: string | null,
    meaning: KeyMeaning,
  ): void {
    const mode = this.catalogue.options.byName;
    if (value === null || value === '') {
      // A cleared secret: nothing to hide, but the one that was there is no longer used.
      if (meaning !== 'plain' && mode === 'externalise') this.add(parent, segment, value, 'name');
      return;
    }
    const finding = findingOf(value, meaning, () => isConfiguration(parent, segment));
    if (finding === null) return;
    if (mode === 'externalise' || finding.onlyIfStored) {
      this.add(parent, segment, value, finding.because, finding.onlyIfStored);
    } else if (mode === 'report') {
      this.addOrReport(parent, segment, value, finding.because);
    } else {
      const pointer = pointerOf(parent, segment);
      throw new EventError(
        'SECRET_BY_NAME_REFUSED',
        `${pointer} looks like a secret and is not in the catalogue.`,
        pointer,
      );
    }
  }

  /**
   * What came sealed was never in the clear: its publisher told that it is a secret, and nobody behind us has its key. What
   * stands for a secret that we keep must not be taken for its text, or the secret would be given up.
   */
  private addOrReport(
    parent: Place,
    segment: string | number,
    value: string,
    because: FoundField['because'],
  ): void {
    if (standsForSecret(value)) this.add(parent, segment, value, because, !isSealedText(value));
    else this.report(pointerOf(parent, segment));
  }

  private add(
    parent: Place,
    segment: string | number,
    value: string | null,
    because: FoundField['because'],
    onlyIfStored = false,
  ): void {
    const names = namesOf(parent, segment, this.root, this.cleanSegment);
    this.count(names.pointer);
    this.fields.push({ ...names, value, because, onlyIfStored });
  }

  private report(pointer: string): void {
    this.count(pointer);
    this.reported.push(pointer);
  }

  /** A few thousand fields below one key of megabytes would be gigabytes of names. */
  private count(pointer: string): void {
    this.nameCharacters += pointer.length;
    if (this.nameCharacters > LIMITS.fieldNames)
      throw new EventError(
        'EVENT_TOO_LARGE',
        `the names of the entity's secret fields have more than ${LIMITS.fieldNames} characters`,
      );
  }

  private refuseType(parent: Place, segment: string | number, value: Json): never {
    const pointer = pointerOf(parent, segment);
    throw new EventError(
      'FIELD_NOT_A_STRING',
      `${pointer} is a password field and must be a string, not of type ${typeOf(value)}.`,
      pointer,
    );
  }

  private refuseOrReportNumber(parent: Place, segment: string | number, value: number): void {
    if (this.catalogue.options.byName !== 'report') this.refuseType(parent, segment, value);
    this.report(pointerOf(parent, segment));
  }

  /** Names the object only: the key is the secret. */
  private refuseKey(place: Place): void {
    const pointer = place.parent === null ? '' : pointerOf(place.parent, place.segment);
    if (this.catalogue.options.byName === 'report') {
      this.report(pointer);
      return;
    }
    throw new EventError(
      'EVENT_INVALID',
      `A key of ${pointer === '' ? 'the entity' : pointer} has a password in it; only values can be kept as secrets.`,
      pointer,
    );
  }
}

const hasBelow = (node: PathNode): boolean => node.children.size > 0 || node.any !== null;

const NOWHERE: readonly PathNode[] = [];

function step(nodes: readonly PathNode[], key: string): readonly PathNode[] {
  if (nodes.length === 0) return NOWHERE;
  const next: PathNode[] = [];
  for (const node of nodes) {
    const child = node.children.get(key);
    if (child !== undefined) next.push(child);
    if (node.any !== null) next.push(node.any);
  }
  return next;
}
