import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { loadConfig } from '../config.js';
import { ConfigurationError } from '../errors.js';
import type { Catalogue } from '../catalog/index.js';
import { EXIT, printJson, printLine, type Cli, type Done } from './cli.js';
import { examples, formatTable } from './text.js';

interface BuildOptions {
  readonly schemas: string;
  readonly out: string;
  readonly schemaVersion: readonly string[];
  readonly source: string;
  readonly licence: string;
}

export function defineCatalog(program: Command, cli: Cli, done: Done): void {
  const catalog = program.command('catalog').description('which fields of which connector are secret');
  catalog
    .command('show')
    .description('the connectors of the catalogue in use, or the secret fields of one')
    .argument('[connector]', 'such as Mysql or database/Mysql')
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      examples('catalog show', 'catalog show Mysql', 'catalog show database/BigQuery --json'),
    )
    .action(async (connector: string | undefined, { json }: { json?: true }) => {
      const catalogue = await configuredCatalogue(cli);
      if (connector === undefined) showAll(cli, catalogue, json === true);
      else showOne(cli, catalogue, connector, json === true);
      done(EXIT.ok);
    });
  catalog
    .command('build')
    .description("make a catalogue from a folder of OpenMetadata's JSON Schemas (CATALOG_FILE takes it)")
    .requiredOption('--schemas <dir>', 'the unpacked artefact openmetadata-spec, or its folder json/schema')
    .requiredOption('--out <file>', 'where it goes; - is standard output')
    .option('--schema-version <version...>', 'version of the schemas, for the catalogue’s provenance', [])
    .option('--source <text>', 'where the schemas come from', 'org.open-metadata:openmetadata-spec')
    .option('--licence <text>', 'licence of the schemas', 'Apache-2.0')
    .addHelpText(
      'after',
      examples('catalog build --schemas ./openmetadata-spec --out catalogue.json --schema-version 1.4.0'),
    )
    .action(async ({ schemas, out, schemaVersion, source, licence }: BuildOptions) => {
      const { buildCatalogue } = await import('../catalog/build/build-catalogue.js');
      const catalogue = buildCatalogue(schemas, { source, licence, versions: schemaVersion });
      const text = `${JSON.stringify(catalogue, null, 2)}\n`;
      if (out === '-') cli.stdout.write(text);
      else {
        writeCatalogue(out, text);
        const fields = Object.values(catalogue.connectors).reduce((sum, paths) => sum + paths.length, 0);
        printLine(
          cli,
          `${out}: ${Object.keys(catalogue.connectors).length} connectors with ${fields} secret fields`,
        );
      }
      done(EXIT.ok);
    });
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

function showAll(cli: Cli, catalogue: Catalogue, asJson: boolean): void {
  if (asJson) {
    printJson(cli, catalogue);
    return;
  }
  const { source, versions } = catalogue.provenance;
  const rows = [
    ...Object.entries(catalogue.connectors).map(([name, paths]) => [name, paths.length] as const),
    ...Object.entries(catalogue.entities).map(([name, paths]) => [name, paths.length] as const),
  ];
  printLine(cli, `${source} ${versions.join(', ')}\n`);
  printLine(cli, formatTable(['CONNECTOR', 'SECRET FIELDS'], rows));
}

function showOne(cli: Cli, catalogue: Catalogue, asked: string, asJson: boolean): void {
  const all = Object.entries({ ...catalogue.connectors, ...catalogue.entities });
  const wanted = asked.toLowerCase();
  const found = all.filter(([name]) =>
    [name, name.slice(name.indexOf('/') + 1)].some((each) => each.toLowerCase() === wanted),
  );
  if (found.length === 0)
    throw new ConfigurationError(
      'USAGE_INVALID',
      `the catalogue has no connector of that name; \`catalog show\` lists them`,
    );
  if (asJson) {
    printJson(cli, Object.fromEntries(found));
    return;
  }
  for (const [name, paths] of found) printLine(cli, [name, ...paths.map((path) => `  ${path}`)].join('\n'));
}
