import { dirname, resolve } from 'node:path';

import { readJsonFile } from '../catalogue.js';
import { parsePointer, readAt } from '../json-path.js';
import { ConfigurationError } from '../../errors.js';
import type { Json } from '../../terms.js';

/** A schema and its place, from which relative references start. */
export interface LocatedSchema {
  readonly file: string;
  readonly pointer: string;
  readonly schema: Json;
}

/** JSON Schema files and the references between them. Each file is read once. */
export interface SchemaFiles {
  /** The root schema of a file. */
  load(file: string): LocatedSchema;
  /** The schema that a `$ref` in `from` points at: `#/definitions/x`, `../type/basic.json`, `other.json#/definitions/x`. */
  resolve(ref: string, from: LocatedSchema): LocatedSchema;
}

export function createSchemaFiles(): SchemaFiles {
  const files = new Map<string, Json>();

  function read(file: string): Json {
    const known = files.get(file);
    if (known !== undefined) return known;
    const parsed = readJsonFile('Schema file', file) as Json;
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
      const keys = parsePointer(pointer);
      const schema = keys === null ? undefined : readAt(read(file), keys);
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

/** OpenMetadata writes some fragments as `#definitions/x`, without the slash at the beginning of a JSON Pointer. */
function asPointer(fragment: string): string {
  return fragment === '' || fragment.startsWith('/') ? fragment : `/${fragment}`;
}
