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
import { type KeyMeaning, meaningOfMember } from './key-names.js';
import { isConfiguration, namesOf, pointerOf, type FieldNames, type Place } from './place.js';
import { isSealedText, meaningOfElement } from './secret-text.js';

export type { FindTarget } from './compile.js';

/** Deeper entities are refused. No real one is that deep, and other programs must be able to read what we publish. */
const MAX_ENTITY_DEPTH = 1000;

/**
 * One secret field of an entity.
 *
 * - `value`: null if the field is there and null
 * - `because`: why it is a secret field. `declared`: a schema declares it; `name`: its key says so; `url`: its text contains
 *   a secret; `reference`: its text stands for a secret; `mask`: a part of its text is masked
 * - `onlyIfStored`: it is a secret field only if the connection already has a secret for it, and stays as it is otherwise.
 *   This is so for a text that only its stars make a mask, and, with `SECRET_BY_NAME=report`, for a mask or reference that
 *   no schema declares
 */
export interface FoundField extends FieldNames {
  readonly value: string | null;
  readonly because: 'declared' | TextFinding['because'];
  readonly onlyIfStored: boolean;
}

export interface FoundFields {
  readonly fields: readonly FoundField[];
  /** Pointers of the fields that `SECRET_BY_NAME=report` left as they are. */
  readonly reported: readonly string[];
}

export interface FieldFinder {
  /**
   * Finds all secret fields of an entity. Changes nothing; takes time linear in the entity's size.
   * @throws EventError `EVENT_TOO_LARGE`, `FIELD_NOT_A_STRING`, `SECRET_BY_NAME_REFUSED`, `CONNECTOR_UNKNOWN`,
   *   `EVENT_TOO_DEEP`, `EVENT_INVALID` (a key is itself a URL with a password)
   */
  find(target: FindTarget): FoundFields;
}

interface FieldFinderParts {
  readonly catalogue: CompiledCatalogue;
  /** Cleans one segment for the secret ids of the configured store; '' if nothing is left of it. Must not throw. */
  readonly cleanSegment: (text: string) => string;
}

export function createFieldFinder(parts: FieldFinderParts): FieldFinder {
  return {
    find: (target) => new Search(parts, target).run(),
  };
}

/** The names of an entity are part of its secret ids and of log lines, so they are never secret fields. */
const IDENTITY_MEMBERS: ReadonlySet<string> = new Set(['id', 'name', 'fullyQualifiedName', 'serviceType']);

/** One search through one entity. It uses a stack of its own instead of recursion. */
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

  /** Elements have their array's nodes, because declared paths need not say where an array is. */
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
      // A number under `maxTokens` is not a token. But under a password's key it is a password.
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
      // A declared string may be an object in another version, which declares secrets within it.
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
      // Somebody cleared a secret. There is nothing to hide, but the stored one is no longer used.
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
   * With `SECRET_BY_NAME=report`. A sealed text is a secret field: its publisher says so by sealing it, and readers do not
   * have that key. A mask or a reference may stand for a secret that we have stored. If we took it for a plain text, that
   * secret would be retired.
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

  /** Limits the memory for names: a few thousand fields below one very long key would need gigabytes. */
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
      `${pointer} is a password field and must be a string, not of type ${Array.isArray(value) ? 'array' : typeof value}.`,
      pointer,
    );
  }

  private refuseOrReportNumber(parent: Place, segment: string | number, value: number): void {
    if (this.catalogue.options.byName !== 'report') this.refuseType(parent, segment, value);
    this.report(pointerOf(parent, segment));
  }

  /** The error names the object only, because the key is the secret. */
  private refuseKey(place: Place): void {
    const pointer = place.parent === null ? '' : pointerOf(place.parent, place.segment);
    if (this.catalogue.options.byName === 'report') {
      this.report(pointer);
      return;
    }
    throw new EventError(
      'EVENT_INVALID',
      `A key of ${pointer === '' ? 'the entity' : pointer} contains a password. Only values can be secret fields.`,
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
