import { readFileSync } from 'node:fs';
import type { ValidateFunction } from 'ajv';
import { parse } from 'yaml';
import { compileSchema, schema, type SchemaName } from './json-schemas.js';

/** A record as it is sent, or as a plain client has read it. Without a `key` the key is not checked. */
export interface KafkaRecord {
  readonly key?: string | null;
  readonly value: Buffer | string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

interface MessageExample {
  readonly name: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly payload: unknown;
}

interface Ref {
  readonly $ref: string;
}
interface AnySchema {
  readonly schemaFormat?: string;
  readonly schema?: Ref;
}
interface Message {
  readonly name: string;
  readonly contentType: string;
  readonly headers?: Ref;
  readonly payload: AnySchema;
  readonly bindings: { readonly kafka: { readonly key: object } };
  readonly examples: readonly MessageExample[];
}
interface AsyncApi {
  readonly channels: Readonly<Record<ChannelName, { address: string; messages: Record<string, Ref> }>>;
  readonly components: {
    readonly messages: Readonly<Record<string, Message>>;
    readonly schemas: Readonly<Record<string, AnySchema>>;
  };
}

export type ChannelName = 'created' | 'updated' | 'deleted' | 'secured' | 'deadLetter';

let loaded: AsyncApi | undefined;

/** docs/asyncapi.yaml, with its references unresolved. */
export function asyncApi(): AsyncApi {
  loaded ??= parse(readFileSync(new URL('../../docs/asyncapi.yaml', import.meta.url), 'utf8')) as AsyncApi;
  return loaded;
}

/** The messages of a channel. */
export function messagesOf(channel: ChannelName): Message[] {
  const { channels, components } = asyncApi();
  return Object.values(channels[channel].messages).map(({ $ref }) => {
    const message = components.messages[$ref.replace('#/components/messages/', '')];
    if (message === undefined) throw new Error(`docs/asyncapi.yaml has no ${$ref}`);
    return message;
  });
}

/** Throws unless a record is one of the messages that docs/asyncapi.yaml allows in a channel: key, headers and value. */
export function requireMessage(channel: ChannelName, record: KafkaRecord): void {
  const problems = messagesOf(channel).map((message) => problemOf(message, record));
  if (problems.includes(null)) return;
  throw new Error(`no message of the channel ${channel} in docs/asyncapi.yaml: ${problems.join('; ')}`);
}

/** Null if the record is this message; else the reason why not, without any value. */
export function problemOf({ name, contentType, ...message }: Message, record: KafkaRecord): string | null {
  const validators = validatorsOf(name, message);
  const { headers = {} } = record;
  if (!validators.headers(headers)) return `${name}: headers ${errorsOf(validators.headers)}`;
  if (record.key !== undefined && !validators.key(record.key))
    return `${name}: key ${errorsOf(validators.key)}`;
  let value: unknown = record.value === null ? null : record.value.toString();
  if (typeof value === 'string' && contentType.endsWith('json')) value = JSON.parse(value);
  return validators.payload(value) ? null : `${name}: ${errorsOf(validators.payload)}`;
}

type Validators = Readonly<Record<'headers' | 'payload' | 'key', ValidateFunction>>;
const compiled = new Map<string, Validators>();

function validatorsOf(name: string, { headers, payload, bindings }: Omit<Message, 'name' | 'contentType'>) {
  const known = compiled.get(name);
  if (known !== undefined) return known;
  const validators: Validators = {
    headers: headers === undefined ? compileSchema({}) : validatorOf(localSchema(headers)),
    payload: validatorOf(payload),
    key: compileSchema(bindings.kafka.key),
  };
  compiled.set(name, validators);
  return validators;
}

function localSchema({ $ref }: Ref): AnySchema {
  const found = asyncApi().components.schemas[$ref.replace('#/components/schemas/', '')];
  if (found === undefined) throw new Error(`docs/asyncapi.yaml has no ${$ref}`);
  return found;
}

/** The validator of a schema in the document itself, or of a file beside it. */
function validatorOf(given: AnySchema): ValidateFunction {
  if (given.schema === undefined) return compileSchema(given);
  return schema(given.schema.$ref.replace(/^schemas\//, '') as SchemaName);
}

function errorsOf({ errors }: ValidateFunction): string {
  return (errors ?? [])
    .map(({ instancePath, message }) => `${instancePath} ${message ?? ''}`.trim())
    .join(', ');
}
