import { readFileSync } from 'node:fs';

import { compileCatalogue, createFieldFinder, shippedCatalogue } from '../../../src/catalog/index.js';
import type { Catalogue, CatalogueOptions, FieldFinder, FindTarget } from '../../../src/catalog/index.js';
import type { Json, JsonObject, ServiceKind } from '../../../src/terms.js';

export const DEFAULT_OPTIONS: CatalogueOptions = {
  byName: 'externalise',
  unknownConnector: 'heuristic',
  extraPaths: [],
  excludedPaths: [],
};

/** The style `slash` in its shortest form. */
export const cleanSegment = (text: string): string => text.replace(/[^A-Za-z0-9/_-]/gu, '_').toLowerCase();

export function finderOf(
  options: Partial<CatalogueOptions> = {},
  catalogue: Catalogue = shippedCatalogue(),
): FieldFinder {
  return createFieldFinder({
    catalogue: compileCatalogue(catalogue, { ...DEFAULT_OPTIONS, ...options }),
    cleanSegment,
  });
}

export function service(kind: ServiceKind, serviceType: string, config: Json): FindTarget {
  return {
    root: 'service',
    kind,
    serviceType,
    entity: { id: 'id-1', name: 'a service', serviceType, connection: { config } },
  };
}

export const bot = (authenticationMechanism: Json): FindTarget => ({
  root: 'bot',
  kind: 'bot',
  serviceType: null,
  entity: { id: 'id-1', name: 'a bot', isBot: true, authenticationMechanism },
});

export const pipeline = (members: JsonObject): FindTarget => ({
  root: 'ingestionPipeline',
  kind: 'pipeline',
  serviceType: null,
  entity: { id: 'id-1', name: 'a pipeline', ...members },
});

export const workflow = (members: JsonObject): FindTarget => ({
  root: 'workflow',
  kind: 'workflow',
  serviceType: null,
  entity: { id: 'id-1', name: 'a workflow', ...members },
});

interface ScopeHistory {
  readonly versions: string;
  /** Path → the versions that declare it, with blanks between them. */
  readonly paths: Readonly<Record<string, string>>;
}

/** Which version declares which field: data/openmetadata-versions.json. */
export interface VersionHistory {
  readonly versions: readonly string[];
  readonly connectors: Readonly<Record<string, ScopeHistory>>;
  readonly entities: Readonly<Record<string, ScopeHistory>>;
}

export const readTestData = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`./data/${name}`, import.meta.url), 'utf8'));

export const readHistory = (): VersionHistory => readTestData('openmetadata-versions.json') as VersionHistory;

/** The part of one version, in the form of a catalogue. */
export function partOf(
  scopes: Readonly<Record<string, ScopeHistory>>,
  version: string,
): Record<string, string[]> {
  const has = (versions: string): boolean => versions.split(' ').includes(version);
  return Object.fromEntries(
    Object.entries(scopes)
      .filter(([, history]) => has(history.versions))
      .map(([name, { paths }]) => [name, Object.keys(paths).filter((path) => has(paths[path] ?? ''))]),
  );
}

/** An object that holds a text at each of the paths; `textAt` is called with each path. */
export function filled(paths: readonly string[], textAt: (path: string) => string): JsonObject {
  const root: JsonObject = {};
  for (const path of paths) {
    const keys = path.split('.');
    let at: JsonObject = root;
    keys.forEach((raw, position) => {
      const isArray = raw.endsWith('[]');
      const key = isArray ? raw.slice(0, -2) : raw;
      if (position === keys.length - 1) {
        at[key] = isArray ? [textAt(path)] : textAt(path);
        return;
      }
      at[key] ??= isArray ? [{}] : {};
      at = (isArray ? (at[key] as Json[])[0] : at[key]) as JsonObject;
    });
  }
  return root;
}
