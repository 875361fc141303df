import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { CATALOGUE_FORMAT, ENTITY_NAMES } from '../catalogue.js';
import type { Catalogue, EntityName } from '../catalogue.js';
import { ConfigurationError } from '../../errors.js';
import { SERVICE_KINDS } from '../../terms.js';
import { passwordPaths } from './password-paths.js';
import { createSchemaFiles } from './schema-files.js';
import type { SchemaFiles } from './schema-files.js';

/** Where the artefact openmetadata-spec has the files that we read, below its folder `json/schema`. */
const CONNECTIONS = join('entity', 'services', 'connections');
const CONNECTOR_FILE = /^(.+)Connection\.json$/;
const ENTITY_FILES: Readonly<Record<EntityName, string>> = {
  user: join('entity', 'teams', 'user.json'),
  ingestionPipeline: join('entity', 'services', 'ingestionPipelines', 'ingestionPipeline.json'),
  workflow: join('entity', 'automations', 'workflow.json'),
  dbtPipeline: join('metadataIngestion', 'dbtPipeline.json'),
  openMetadataServerConnection: join(CONNECTIONS, 'metadata', 'openMetadataConnection.json'),
};

/**
 * Builds a catalogue from a folder of OpenMetadata's JSON Schemas: the unpacked Maven artefact
 * `org.open-metadata:openmetadata-spec`, or its folder `json/schema`. It depends on these files alone, so the same folder
 * always gives the same catalogue. A version without one of the entities (0.13 has no workflows) has no paths for it.
 *
 * @throws ConfigurationError `CONFIG_INVALID` naming the folder, file or reference that is wrong
 */
export function buildCatalogue(schemaDir: string, provenance: Catalogue['provenance']): Catalogue {
  const root = schemaRoot(schemaDir);
  const files = createSchemaFiles();
  return {
    format: CATALOGUE_FORMAT,
    provenance,
    connectors: connectorPaths(root, files),
    entities: entityPaths(root, files),
  };
}

function schemaRoot(schemaDir: string): string {
  for (const candidate of [schemaDir, join(schemaDir, 'json', 'schema')]) {
    if (existsSync(join(candidate, CONNECTIONS))) return candidate;
  }
  throw new ConfigurationError(
    'CONFIG_INVALID',
    `${schemaDir} is not a folder of OpenMetadata schemas: it has neither ${CONNECTIONS} nor json/schema/${CONNECTIONS}.`,
  );
}

function connectorPaths(root: string, files: SchemaFiles): Record<string, string[]> {
  const connectors: Record<string, string[]> = {};
  for (const kind of SERVICE_KINDS) {
    const folder = join(root, CONNECTIONS, kind);
    if (!existsSync(folder)) continue;
    for (const file of readdirSync(folder).sort()) {
      const connector = CONNECTOR_FILE.exec(file)?.[1];
      if (connector === undefined) continue;
      connectors[`${kind}/${connector}`] = passwordPaths(files.load(join(folder, file)), files);
    }
  }
  return connectors;
}

function entityPaths(root: string, files: SchemaFiles): Partial<Record<EntityName, string[]>> {
  const entities: Partial<Record<EntityName, string[]>> = {};
  for (const name of ENTITY_NAMES) {
    const file = join(root, ENTITY_FILES[name]);
    if (existsSync(file)) entities[name] = passwordPaths(files.load(file), files);
  }
  return entities;
}
