import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';

const SCHEMAS = [
  'change-event.json',
  'change-event.cloudevent.json',
  'connection.secured.json',
  'connection.secured.cloudevent.json',
  'dead-letter.headers.json',
  'dead-letter.payload.json',
] as const;

let compiled: Ajv2020 | undefined;

function schemas(): Ajv2020 {
  const ajv = new Ajv2020({ allErrors: true, strict: true, strictTypes: false, strictRequired: false });
  addFormats.default(ajv);
  for (const file of SCHEMAS) {
    const url = new URL(`../../docs/schemas/${file}`, import.meta.url);
    ajv.addSchema(JSON.parse(readFileSync(url, 'utf8')) as object);
  }
  return ajv;
}

export function schema(name: (typeof SCHEMAS)[number]): ValidateFunction {
  compiled ??= schemas();
  const validate = compiled.getSchema(name);
  if (validate === undefined) throw new Error(`no schema ${name}`);
  return validate;
}

export type SchemaName = (typeof SCHEMAS)[number];

/** Compiles a schema that is not in docs/schemas. It may refer to those that are. */
export function compileSchema(given: object): ValidateFunction {
  compiled ??= schemas();
  return compiled.compile(given);
}
