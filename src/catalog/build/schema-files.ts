import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

import { parsePointer } from '../json-path.js';
import { ConfigurationError } from '../../errors.js';
import type { Json } from '../../terms.js';

/** A schema and the place it stands at, which relative references start from. */
export interface LocatedSchema {
  readonly file: string;
  readonly pointer: string;
  readonly schema: Json;
}

/** JSON Schema files, each read once, and references between them. */
export interface SchemaFiles {
  /** The root schema of a file. */
  load(file: string): LocatedSchema;
  /** What a `$ref` in `from` points at: `#/definitions/x`, `../type/basic.json`, `other.json#/definitions/x`. */
  resolve(ref: string, from: LocatedSchema): LocatedSchema;
}

/** Errors name the file or the reference: schemas hold no secrets, but a parser's own text is not passed on. */
export function createSchemaFiles(): SchemaFiles {
  const files = new Map<string, Json>();

  function read(file: string): Json {
    const known = files.get(file);
    if (known !== undefined) return known;
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch {
      throw new ConfigurationError('CONFIG_INVALID', `Schema file ${file} cannot be read.`);
    }
    let parsed: Json;
    try {
      parsed = JSON.parse(text) as Json;
    } catch {
      throw new ConfigurationError('CONFIG_INVALID', `Schema file ${file} is not JSON.`);
    }
    files.set(file, parsed);
    return parsed;
  }

  return {
    load: (file) => ({ file, pointer: '', schema: read(file) }),
    resolve(ref, from) {
      const hash = ref.indexOf('#');
      const filePart = hash === -1 ? ref : ref.slice(0, hash);
      const pointer = hash === -1 ? '' : asPointer(decodeURIComponent(ref.slice(hash + 1)));
      const file = filePart === '' ? from.file : resolve(dirname(from.file), filePart);
      const schema = memberAt(read(file), pointer);
      if (schema === undefined) {
        throw new ConfigurationError(
          'CONFIG_INVALID',
          `Schema file ${from.file} refers to ${ref}, which does not exist.`,
        );
      }
      return { file, pointer, schema };
    },
  };
}

/** OpenMetadata writes some fragments as `#definitions/x`, without the slash a JSON Pointer begins with. */
function asPointer(fragment: string): string {
  return fragment === '' || fragment.startsWith('/') ? fragment : `/${fragment}`;
}

function memberAt(root: Json, pointer: string): Json | undefined {
  const keys = parsePointer(pointer);
  if (keys === null) return undefined;
  let at: Json = root;
  for (const key of keys) {
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<string, Json>)[key] as Json;
  }
  return at;
}
