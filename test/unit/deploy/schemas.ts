import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';

export type JsonSchema = Readonly<Record<string, unknown>>;

export const dataFile = (name: string): JsonSchema =>
  JSON.parse(readFileSync(new URL(`data/${name}.json`, import.meta.url), 'utf8')) as JsonSchema;

export function compiled(schema: JsonSchema): ValidateFunction {
  return new Ajv({ allErrors: true, strict: false, logger: false, validateFormats: false }).compile(schema);
}

const text = { type: 'string', minLength: 1 } as const;
const count = { type: 'integer', minimum: 0 } as const;

function object(properties: JsonSchema, required = Object.keys(properties)): JsonSchema {
  return { type: 'object', properties, required, additionalProperties: false };
}

const metadata = object({ name: text, labels: { type: 'object', additionalProperties: text } });

/** What the chart uses of these two kinds, after the documentation of KEDA and of the Prometheus operator. */
const CUSTOM: Readonly<Record<string, JsonSchema>> = {
  'keda.sh/v1alpha1 ScaledObject': object({
    apiVersion: text,
    kind: text,
    metadata,
    spec: object({
      scaleTargetRef: object({ name: text }),
      minReplicaCount: count,
      maxReplicaCount: count,
      pollingInterval: count,
      cooldownPeriod: count,
      triggers: {
        type: 'array',
        minItems: 1,
        items: object(
          {
            type: { const: 'kafka' },
            metadata: { type: 'object', additionalProperties: text, required: ['bootstrapServers', 'topic'] },
            authenticationRef: object({ name: text }),
          },
          ['type', 'metadata'],
        ),
      },
    }),
  }),
  'monitoring.coreos.com/v1 ServiceMonitor': object({
    apiVersion: text,
    kind: text,
    metadata,
    spec: object({
      selector: object({ matchLabels: { type: 'object', additionalProperties: text } }),
      endpoints: {
        type: 'array',
        minItems: 1,
        items: object({ port: text, path: text, interval: { type: 'string', pattern: '^\\d+(ms|s|m)$' } }),
      },
    }),
  }),
};

const validators = new Map<string, ValidateFunction>();

/** What is wrong with a manifest; empty: it is one of its kind, without unknown fields. */
export function problemsOf(manifest: { readonly apiVersion: string; readonly kind: string }): unknown[] {
  const kind = `${manifest.apiVersion} ${manifest.kind}`;
  const schema = CUSTOM[kind] ?? { ...dataFile('kubernetes'), $ref: `#/definitions/${manifest.kind}` };
  const validate = validators.get(kind) ?? compiled(schema);
  validators.set(kind, validate);
  return validate(manifest) ? [] : (validate.errors ?? []);
}
