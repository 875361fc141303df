import { EventError, ConfigurationError } from '../errors.js';
import { SERVICE_KINDS, type EntityRoot, type Json, type JsonObject, type Kind } from '../terms.js';
import { ENTITY_NAMES, type Catalogue, type EntityName } from './catalogue.js';
import { readAt, ANY_KEY, parsePath, type PathSegment } from './json-path.js';

/** An entity to search for secret fields. */
export interface FindTarget {
  readonly root: EntityRoot;
  readonly kind: Kind;
  /** `entity.serviceType`. For a service without one, `connection.config.type` counts. */
  readonly serviceType: string | null;
  readonly entity: JsonObject;
}

const NO_NODES: readonly PathNode[] = [];
const CONFIG_PATH = ['connection', 'config'] as const;
const REQUEST_CONFIG_PATH = ['request', 'connection', 'config'] as const;

/**
 * The declared places of an entity, as nodes for the entity itself.
 * @throws EventError `CONNECTOR_UNKNOWN` if unknown connectors are refused
 */
export function declaredNodes(catalogue: CompiledCatalogue, target: FindTarget): readonly PathNode[] {
  switch (target.root) {
    case 'service':
      return serviceNodes(catalogue, target);
    case 'bot':
      return catalogue.entity('user');
    case 'ingestionPipeline':
      refuseUnknown(catalogue, nestedConnections(target.entity));
      return catalogue.entity('ingestionPipeline');
    case 'workflow':
      refuseUnknown(catalogue, requestedConnection(target.entity));
      return catalogue.entity('workflow');
  }
}

function serviceNodes(catalogue: CompiledCatalogue, target: FindTarget): readonly PathNode[] {
  const config = readAt(target.entity, CONFIG_PATH);
  const name = target.serviceType ?? typeOfConnection(config);
  const nodes = name === null ? NO_NODES : catalogue.connector(target.kind, name);
  if (nodes.length === 0 && config !== undefined && config !== null) {
    refuseUnknown(catalogue, [{ name, pointer: '/connection/config' }]);
  }
  return [...nodes, ...catalogue.everyConnector].map((node) => below(CONFIG_PATH, node));
}

/**
 * The declared places of a service connection inside another entity or connection, which says by its own `type` what it is
 * (`serviceConnections[]`, `request.connection`, `metastoreConnection`). None if the object has no known type.
 */
export function nestedNodes(
  catalogue: CompiledCatalogue,
  kind: Kind,
  value: JsonObject,
): readonly PathNode[] {
  const type = typeOfConnection(value);
  if (type === null) return NO_NODES;
  const nodes = catalogue.connector(isServiceKind(kind) ? kind : null, type);
  return nodes.length === 0 ? NO_NODES : [...nodes, ...catalogue.everyConnector];
}

interface NamedConnection {
  readonly name: string | null;
  readonly pointer: string;
}

function requestedConnection(entity: JsonObject): NamedConnection[] {
  const config = readAt(entity, REQUEST_CONFIG_PATH);
  if (config === undefined || config === null) return [];
  const requested = readAt(entity, ['request', 'connectionType']);
  const name = typeOfConnection(config) ?? (typeof requested === 'string' ? requested : null);
  return [{ name, pointer: '/request/connection/config' }];
}

function nestedConnections(entity: JsonObject): NamedConnection[] {
  const list = readAt(entity, ['sourceConfig', 'config', 'serviceConnections']);
  if (!Array.isArray(list)) return [];
  return list.flatMap((element, position) => {
    const config = readAt(element, ['serviceConnection', 'config']);
    if (config === undefined || config === null) return [];
    const pointer = `/sourceConfig/config/serviceConnections/${position}/serviceConnection/config`;
    return [{ name: typeOfConnection(config), pointer }];
  });
}

function refuseUnknown(catalogue: CompiledCatalogue, connections: readonly NamedConnection[]): void {
  if (catalogue.options.unknownConnector !== 'refuse') return;
  for (const { name, pointer } of connections) {
    if (name !== null && catalogue.connector(null, name).length > 0) continue;
    // The message leaves out the name: it is a text of the event, and may be a password in the wrong place.
    throw new EventError(
      'CONNECTOR_UNKNOWN',
      `The catalogue has no connector of the type that ${pointer} has.`,
      pointer,
    );
  }
}

function typeOfConnection(value: Json | undefined): string | null {
  if (value === undefined || value === null || typeof value !== 'object' || Array.isArray(value)) return null;
  const type = Object.hasOwn(value, 'type') ? value['type'] : undefined;
  return typeof type === 'string' ? type : null;
}

const isServiceKind = (kind: Kind): boolean => (SERVICE_KINDS as readonly string[]).includes(kind);

/** The node at the beginning of a path that leads to the given node. */
function below(path: readonly string[], node: PathNode): PathNode {
  return path.reduceRight<PathNode>(
    (inner, key) => ({ mark: 'none', children: new Map([[key, inner]]), any: null }),
    node,
  );
}

/** `SECRET_BY_NAME`, `UNKNOWN_CONNECTOR` and the paths that users add or exclude. */
export interface CatalogueOptions {
  /** What to do with secrets that only their name or text tells: treat them like declared ones, report or refuse them. */
  readonly byName: 'externalise' | 'report' | 'refuse';
  /** What to do with a connector that the catalogue does not have: search it by name, or refuse it. */
  readonly unknownConnector: 'heuristic' | 'refuse';
  /**
   * `scope:path`; `parsePath` reads the path. A scope is one of:
   *
   * - a connector of the catalogue (`Mysql`), or any connector with its kind (`database/mysql`): path below
   *   `connection.config`
   * - `*`, which means all connectors, known or not: path below `connection.config`
   * - an entity (`user`, `ingestionPipeline`, `workflow`): path from the entity
   */
  readonly extraPaths: readonly string[];
  /** In the same form. Everything there and below is plain, whatever the schema, its name or its text says. */
  readonly excludedPaths: readonly string[];
}

/** A node of the trie of declared paths. An array has no node of its own: its elements belong to the array's node. */
export interface PathNode {
  readonly mark: 'none' | 'secret' | 'excluded';
  readonly children: ReadonlyMap<string, PathNode>;
  /** The node that any key leads to. */
  readonly any: PathNode | null;
}

/** A catalogue in the form in which the finder uses it. Every look-up is one or two map accesses. */
export interface CompiledCatalogue {
  readonly options: Pick<CatalogueOptions, 'byName' | 'unknownConnector'>;
  /** The nodes of a connector of this kind, else of any kind, for `connection.config`. None if it is unknown. */
  connector(kind: string | null, name: string): readonly PathNode[];
  /** The nodes of the `*` paths, which belong to every connector. */
  readonly everyConnector: readonly PathNode[];
  /** The nodes of an entity, for the entity itself. */
  entity(name: 'user' | 'ingestionPipeline' | 'workflow'): readonly PathNode[];
}

interface MutableNode {
  mark: PathNode['mark'];
  readonly children: Map<string, MutableNode>;
  any: MutableNode | null;
}

/** A longer `type` in an event is not looked up: it is no connector's name. */
const LONGEST_CONNECTOR_NAME = 128;

const newNode = (): MutableNode => ({ mark: 'none', children: new Map(), any: null });

/** Connector names are compared without case and signs: `SapS4Hana`, `sapS4Hana` and `sap_s4_hana` are the same. */
const normaliseName = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/**
 * Builds the look-up, once at the start.
 * @throws ConfigurationError `CONFIG_INVALID` naming each extra or excluded path without a valid form or scope
 */
export function compileCatalogue(catalogue: Catalogue, options: CatalogueOptions): CompiledCatalogue {
  const byKind = new Map<string, MutableNode>();
  const byName = new Map<string, MutableNode[]>();
  const everyConnector = newNode();
  const entities = new Map<string, MutableNode>(ENTITY_NAMES.map((name) => [name, newNode()]));

  function connectorNode(id: string): MutableNode {
    const [kind = '', name = ''] = id.split('/').map(normaliseName);
    const key = `${kind}/${name}`;
    const known = byKind.get(key);
    if (known !== undefined) return known;
    const created = newNode();
    byKind.set(key, created);
    byName.set(name, [...(byName.get(name) ?? []), created]);
    return created;
  }

  /** None for a connector that the catalogue does not have, so that the caller notices a mistyped name. */
  function scopeNodes(scope: string): readonly MutableNode[] {
    if (scope === '*') return [everyConnector];
    const entity = ENTITY_SCOPES.has(scope) ? entities.get(scope) : undefined;
    if (entity !== undefined) return [entity];
    return scope.includes('/') ? [connectorNode(scope)] : (byName.get(normaliseName(scope)) ?? []);
  }

  for (const [id, paths] of Object.entries(catalogue.connectors)) {
    const node = connectorNode(id);
    for (const path of paths) insert(node, segmentsOf(path), 'secret');
  }
  for (const name of ENTITY_NAMES) {
    for (const path of catalogue.entities[name] ?? []) {
      for (const [entity, prefix] of PLACES[name]) {
        insert(entities.get(entity) ?? newNode(), [...prefix, ...segmentsOf(path)], 'secret');
      }
    }
  }
  const problems: string[] = [];
  for (const [list, mark] of [
    [options.extraPaths, 'secret'],
    [options.excludedPaths, 'excluded'],
  ] as const) {
    for (const text of list) {
      const parsed = parseScoped(text);
      const nodes = parsed === null ? [] : scopeNodes(parsed.scope);
      if (parsed === null || nodes.length === 0) problems.push(text);
      else for (const node of nodes) insert(node, parsed.segments, mark);
    }
  }
  if (problems.length > 0) {
    throw new ConfigurationError(
      'CONFIG_INVALID',
      `Not a secret path: ${problems.join(', ')}. The form is scope:path, with a connector (Mysql, database/mysql), ` +
        `* (all connectors), user, ingestionPipeline or workflow as the scope.`,
    );
  }

  const none: readonly PathNode[] = [];
  return {
    options: { byName: options.byName, unknownConnector: options.unknownConnector },
    everyConnector: isEmpty(everyConnector) ? none : [everyConnector],
    connector(kind, name) {
      if (name.length > LONGEST_CONNECTOR_NAME) return none;
      const normalised = normaliseName(name);
      const ofKind = kind === null ? undefined : byKind.get(`${normaliseName(kind)}/${normalised}`);
      return ofKind === undefined ? (byName.get(normalised) ?? none) : [ofKind];
    },
    entity: (name) => {
      const node = entities.get(name);
      return node === undefined ? none : [node];
    },
  };
}

/** Where the catalogue's entities and parts of entities are in the entities that events carry. */
const PLACES: Readonly<Record<EntityName, readonly (readonly [EntityName, readonly string[]])[]>> = {
  user: [['user', []]],
  ingestionPipeline: [['ingestionPipeline', []]],
  workflow: [['workflow', []]],
  dbtPipeline: [['ingestionPipeline', ['sourceConfig', 'config']]],
  openMetadataServerConnection: [
    ['ingestionPipeline', ['openMetadataServerConnection']],
    ['workflow', ['openMetadataServerConnection']],
  ],
};

const isEmpty = (node: MutableNode): boolean =>
  node.mark === 'none' && node.children.size === 0 && node.any === null;

/** Sets the mark of a path's last node. A later mark replaces an earlier one, so excluded paths come last. */
function insert(root: MutableNode, segments: readonly PathSegment[], mark: 'secret' | 'excluded'): void {
  let node = root;
  for (const segment of segments) node = segment === ANY_KEY ? anyOf(node) : childOf(node, segment);
  node.mark = mark;
}

function anyOf(node: MutableNode): MutableNode {
  node.any ??= newNode();
  return node.any;
}

function childOf(node: MutableNode, key: string): MutableNode {
  const known = node.children.get(key);
  if (known !== undefined) return known;
  const created = newNode();
  node.children.set(key, created);
  return created;
}

/** The paths of a catalogue from `parseCatalogue` are valid. A caller may also have built one by hand. */
function segmentsOf(path: string): readonly PathSegment[] {
  const segments = parsePath(path);
  if (segments === null) throw new ConfigurationError('CONFIG_INVALID', `Not a catalogue path: ${path}.`);
  return segments;
}

const ENTITY_SCOPES: ReadonlySet<string> = new Set(['user', 'ingestionPipeline', 'workflow']);
const SCOPE = /^(\*|[A-Za-z0-9_-]+|[A-Za-z]+\/[^/:\s]+):(.+)$/s;

function parseScoped(text: string): { scope: string; segments: PathSegment[] } | null {
  const match = SCOPE.exec(text);
  const segments = parsePath(match?.[2] ?? '');
  return match === null || segments === null ? null : { scope: match[1] ?? '', segments };
}
