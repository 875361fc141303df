import { EventError } from '../errors.js';
import { SERVICE_KINDS } from '../terms.js';
import type { EntityRoot, Json, JsonObject, Kind } from '../terms.js';
import type { CompiledCatalogue, PathNode } from './compile.js';
import { readAt } from './json-access.js';

/** An entity whose secret fields are looked for. */
export interface FindTarget {
  readonly root: EntityRoot;
  readonly kind: Kind;
  /** `entity.serviceType`; a service without one is taken by its `connection.config.type`. */
  readonly serviceType: string | null;
  readonly entity: JsonObject;
}

const NO_NODES: readonly PathNode[] = [];
const CONFIG_PATH = ['connection', 'config'] as const;
const REQUEST_CONFIG_PATH = ['request', 'connection', 'config'] as const;

/**
 * The declared places of an entity, seen from the entity.
 * @throws EventError `CONNECTOR_UNKNOWN` where the options say so
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
 * What a service connection inside another entity or connection declares by its own `type` (`serviceConnections[]`,
 * `request.connection`, `metastoreConnection`); none where the object is no connection of a known type.
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
    // The name is not repeated: it is a text of the event, and a password could have slipped into it.
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

/** A chain of places that leads to a node. */
function below(path: readonly string[], node: PathNode): PathNode {
  return path.reduceRight<PathNode>(
    (inner, key) => ({ mark: 'none', children: new Map([[key, inner]]), any: null }),
    node,
  );
}
