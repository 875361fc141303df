import { escapeKey } from '../json-path.js';
import type { LocatedSchema, SchemaFiles } from './schema-files.js';
import type { Json, JsonObject } from '../../terms.js';

/**
 * The paths of all places below a schema with `format: password`, sorted. Follows `$ref`, `oneOf`/`anyOf`/`allOf`,
 * `if`/`then`/`else`, `properties`, `patternProperties`, `additionalProperties` and `items`. It does not enter a definition
 * again within itself: that would give endless paths.
 */
export function passwordPaths(start: LocatedSchema, files: SchemaFiles): string[] {
  const found = new Set<string>();
  const entered = new Set<string>();

  function walk(at: LocatedSchema, schema: Json, path: string): void {
    if (!isObject(schema)) return;
    if (schema['format'] === 'password') found.add(path);
    const ref = schema['$ref'];
    if (typeof ref === 'string') enter(files.resolve(ref, at), path);
    for (const keyword of ['oneOf', 'anyOf', 'allOf'] as const) {
      for (const branch of asArray(schema[keyword])) walk(at, branch, path);
    }
    for (const keyword of ['if', 'then', 'else'] as const) {
      walk(at, schema[keyword] ?? null, path);
    }
    for (const [key, member] of membersOf(schema['properties']))
      walk(at, member, below(path, escapeKey(key)));
    for (const [, member] of membersOf(schema['patternProperties'])) walk(at, member, below(path, '*'));
    walk(at, schema['additionalProperties'] ?? null, below(path, '*'));
    for (const items of [schema['items'], schema['prefixItems'], schema['additionalItems']]) {
      for (const element of Array.isArray(items) ? items : [items ?? null]) walk(at, element, `${path}[]`);
    }
  }

  function enter(target: LocatedSchema, path: string): void {
    const place = `${target.file}#${target.pointer}`;
    if (entered.has(place)) return;
    entered.add(place);
    walk(target, target.schema, path);
    entered.delete(place);
  }

  enter(start, '');
  return [...found].filter((path) => path !== '').sort();
}

const below = (path: string, segment: string): string => (path === '' ? segment : `${path}.${segment}`);

const isObject = (value: Json | undefined): value is JsonObject =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

const asArray = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);

const membersOf = (value: Json | undefined): [string, Json][] =>
  isObject(value) ? Object.entries(value) : [];
