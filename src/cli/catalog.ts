import { writeFileSync } from 'node:fs';
import { Argument, Option } from 'commander';
import { loadConfig } from '../config.js';
import { wholePage } from '../database/page.js';
import { ConfigurationError } from '../errors.js';
import type { Catalogue } from '../catalog/index.js';
import { EXIT, type Cli } from './cli.js';
import { command, commands, option } from './define-command.js';
import { listAnswer } from './output.js';
import { shortText } from './parse.js';

interface Connector {
  readonly name: string;
  readonly secretFields: readonly string[];
}

interface BuildOptions {
  readonly schemas: string;
  readonly out: string;
  readonly schemaVersion: readonly string[];
  readonly source: string;
  readonly licence: string;
}

const COLUMNS = {
  CONNECTOR: ({ name }: Connector) => name,
  'SECRET FIELDS': ({ secretFields }: Connector) => secretFields.length,
};

const show = command<object, [connector: string | undefined]>({
  name: 'show',
  about: 'the connectors of the catalogue in use, or the secret fields of one',
  names: 'name',
  args: [new Argument('[connector]', 'such as Mysql or database/Mysql').argParser(shortText)],
  examples: ['catalog show', 'catalog show Mysql', 'catalog show database/BigQuery --output yaml'],
  run: async (cli, _options, connector) => {
    const catalogue = await configuredCatalogue(cli);
    const all = Object.entries({ ...catalogue.connectors, ...catalogue.entities });
    const found = connector === undefined ? all : meantBy(connector, all);
    const page = {
      provenance: catalogue.provenance,
      ...wholePage(found.map(([name, secretFields]) => ({ name, secretFields }))),
    };
    const { source, versions, licence } = catalogue.provenance;
    const note = `The catalogue is of ${[source, ...versions].join(', ')} (${licence})`;
    if (connector === undefined) return { ...listAnswer(page, COLUMNS), note };
    return {
      json: page,
      note,
      text: () =>
        found.map(([name, paths]) => [name, ...paths.map((path) => `  ${path}`)].join('\n')).join('\n'),
    };
  },
});

const build = command<BuildOptions>({
  name: 'build',
  about: "make a catalogue from a folder of OpenMetadata's JSON Schemas (CATALOG_FILE takes it)",
  options: [
    required('--schemas <dir>', 'the unpacked artefact openmetadata-spec, or its folder json/schema'),
    required('--out <file>', 'where it goes; - is standard output'),
    new Option(
      '--schema-version <version...>',
      'version of the schemas, for the catalogue’s provenance',
    ).default([]),
    new Option('--source <text>', 'where the schemas come from').default(
      'org.open-metadata:openmetadata-spec',
    ),
    new Option('--licence <text>', 'licence of the schemas').default('Apache-2.0'),
  ],
  hasOutput: false,
  examples: ['catalog build --schemas ./openmetadata-spec --out catalogue.json --schema-version 1.4.0'],
  run: async (cli, { schemas, out, schemaVersion, source, licence }) => {
    const { buildCatalogue } = await import('../catalog/build/build-catalogue.js');
    const catalogue = buildCatalogue(schemas, { source, licence, versions: schemaVersion });
    const text = `${JSON.stringify(catalogue, null, 2)}\n`;
    if (out === '-') cli.stdout.write(text);
    else {
      writeCatalogue(out, text);
      const connectors = Object.values(catalogue.connectors);
      const fields = connectors.reduce((sum, paths) => sum + paths.length, 0);
      cli.stdout.write(`${out}: ${connectors.length} connectors with ${fields} secret fields\n`);
    }
    return EXIT.ok;
  },
});

export const catalog = commands('catalog', 'which fields of which connector are secret', [show, build]);

function required(flags: string, about: string): Option {
  return option(flags, about).makeOptionMandatory();
}

async function configuredCatalogue(cli: Cli): Promise<Catalogue> {
  const { loadCatalogue, shippedCatalogue } = await import('../catalog/index.js');
  const { catalogFile } = loadConfig(cli.env, { need: [] }).rules;
  return catalogFile === null ? shippedCatalogue() : loadCatalogue(catalogFile);
}

function writeCatalogue(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch {
    throw new ConfigurationError('USAGE_INVALID', `--out: ${file} cannot be written`);
  }
}

type Fields = [name: string, paths: readonly string[]];

function meantBy(asked: string, all: readonly Fields[]): readonly Fields[] {
  const wanted = asked.toLowerCase();
  const found = all.filter(([name]) =>
    [name, name.slice(name.indexOf('/') + 1)].some((each) => each.toLowerCase() === wanted),
  );
  if (found.length === 0)
    throw new ConfigurationError(
      'USAGE_INVALID',
      `the catalogue has no connector of that name; \`catalog show\` lists them`,
    );
  return found;
}
