import { readFileSync } from 'node:fs';

import { z } from 'zod';

import { ConfigurationError } from '../errors.js';
import { parsePath } from './json-path.js';

/** Version of the file format. A file with another one is refused. */
export const CATALOGUE_FORMAT = 1;

/** Entities with paths of their own, and parts that several entities have. */
export const ENTITY_NAMES = [
  'user',
  'ingestionPipeline',
  'workflow',
  'dbtPipeline',
  'openMetadataServerConnection',
] as const;
export type EntityName = (typeof ENTITY_NAMES)[number];

const pathText = z
  .string()
  .refine((text) => parsePath(text) !== null, 'is not a path (keys with dots between them)');
const connectorName = z
  .string()
  .regex(/^[a-zA-Z]+\/[^/\s]+$/, 'is not a connector (kind/connector, like database/mysql)');

const catalogueSchema = z.strictObject({
  format: z.literal(CATALOGUE_FORMAT),
  about: z.string().optional(),
  provenance: z.strictObject({
    source: z.string(),
    licence: z.string(),
    versions: z.array(z.string()).readonly(),
  }),
  connectors: z.record(connectorName, z.array(pathText)),
  entities: z.partialRecord(z.enum(ENTITY_NAMES), z.array(pathText)),
});

/**
 * Which fields the schemas declare as passwords. `connectors`: key `kind/connector`, paths below `connection.config`.
 * `entities`: paths from the entity (`dbtPipeline`: below `sourceConfig.config`; `openMetadataServerConnection`: below
 * the member of that name). `parsePath` describes the form of a path.
 */
export type Catalogue = z.infer<typeof catalogueSchema>;

/**
 * Checks a parsed catalogue file.
 * @throws ConfigurationError `CONFIG_INVALID` naming every wrong place
 */
export function parseCatalogue(json: unknown, file: string): Catalogue {
  const result = catalogueSchema.safeParse(json);
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    (issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`,
  );
  throw new ConfigurationError('CONFIG_INVALID', `Catalogue ${file} is not valid. ${problems.join('; ')}.`);
}

/**
 * Reads a catalogue file (`CATALOG_FILE`).
 * @throws ConfigurationError `CONFIG_INVALID` if it cannot be read, is not JSON, or is not a catalogue
 */
export function loadCatalogue(file: string | URL): Catalogue {
  return parseCatalogue(readJsonFile('Catalogue', file), String(file));
}

/**
 * Reads a JSON file. The errors leave out the parser's own text.
 *
 * @param what what the file is, for messages
 * @throws ConfigurationError `CONFIG_INVALID` if it cannot be read or is not JSON
 */
export function readJsonFile(what: string, file: string | URL): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    throw new ConfigurationError('CONFIG_INVALID', `${what} ${String(file)} cannot be read.`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new ConfigurationError('CONFIG_INVALID', `${what} ${String(file)} is not JSON.`);
  }
}

/** The catalogue that ships: the union of OpenMetadata 0.13.2, 1.2.0, 1.4.0 and 2.0.7. */
export function shippedCatalogue(): Catalogue {
  return loadCatalogue(new URL('./data/openmetadata.json', import.meta.url));
}
