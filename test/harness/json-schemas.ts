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
  'commands.json',
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

/** What a command printed as JSON must be what docs/schemas promises of it; returns it. */
export function answerOf(command: string, printed: string): unknown {
  const answer: unknown = JSON.parse(printed);
  const validate = compileSchema({ $ref: `commands.json#/$defs/${command.replaceAll(' ', '-')}` });
  if (!validate(answer)) throw new Error(`${command}: ${JSON.stringify(validate.errors?.slice(0, 5))}`);
  return answer;
}

/** The commands of which docs/schemas knows what they print. */
export function describedCommands(): ReadonlySet<string> {
  const url = new URL('../../docs/schemas/commands.json', import.meta.url);
  const { $defs } = JSON.parse(readFileSync(url, 'utf8')) as { $defs: object };
  return new Set(Object.keys($defs));
}

export type SchemaName = (typeof SCHEMAS)[number];

/** Compiles a schema that is not in docs/schemas. It may refer to those that are. */
export function compileSchema(given: object): ValidateFunction {
  compiled ??= schemas();
  return compiled.compile(given);
}
