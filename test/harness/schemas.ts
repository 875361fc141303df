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

/** A record as it goes out, or as a plain client has read it. */
export interface ProducedRecord {
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** Throws unless a record of the secured topic is what docs/schemas promises, in either mode of CloudEvents. */
export function requireSecuredSchema({ value, headers }: ProducedRecord): void {
  const isBinary = headers['ce_specversion'] !== undefined;
  requireValid(
    isBinary ? 'connection.secured.json' : 'connection.secured.cloudevent.json',
    JSON.parse(value?.toString('utf8') ?? 'null'),
  );
}

/** The same for the headers of a dead letter. */
export function requireDeadLetterSchema({ headers }: ProducedRecord): void {
  requireValid('dead-letter.headers.json', headers);
}

function requireValid(name: SchemaName, value: unknown): void {
  const validate = schema(name);
  if (validate(value)) return;
  const problems =
    validate.errors?.map(({ instancePath, message }) => `${instancePath} ${message ?? ''}`) ?? [];
  throw new Error(`not as docs/schemas/${name} says: ${problems.join('; ')}`);
}
