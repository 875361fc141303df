import { Option, type Command } from 'commander';
import { loadConfig } from '../config.js';
import { ConfigurationError } from '../errors.js';
import { KINDS } from '../terms.js';
import { EXIT, printJson, printLine, type Cli, type Done } from './cli.js';
import { listConnections, type ListedConnection, type ListFilter } from './connection-list.js';
import type { ShownConnection } from './connection-show.js';
import { wholeNumber } from './parse.js';
import { readDatabase } from './read-database.js';
import { examples, formatFields, formatTable, printable } from './text.js';

const STATES = ['live', 'softDeleted', 'deleted'];

export function defineConnections(program: Command, cli: Cli, done: Done): void {
  const connections = program
    .command('connections')
    .description('what the database knows; values are never shown');
  connections
    .command('list')
    .description('the connections, the last changed first')
    .addOption(new Option('--kind <kind>', 'of this kind').choices(KINDS))
    .addOption(new Option('--state <state>', 'in this state').choices(STATES))
    .option('--limit <number>', 'at most so many', wholeNumber(1, 100_000), 100)
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      examples('connections list', 'connections list --kind database --state live --json'),
    )
    .action(async ({ json, ...filter }: ListFilter & { json?: true }) => {
      const listed = await readDatabase(loadConfig(cli.env, { need: [] }), (database) =>
        listConnections(database, filter),
      );
      if (json) printJson(cli, listed);
      else printLine(cli, listTable(listed));
      done(EXIT.ok);
    });
  connections
    .command('show')
    .description('one connection: its entity masked, and where each secret field is kept')
    .argument('<id>', 'id of the entity')
    .option('--json', 'print it as JSON')
    .addHelpText('after', examples('connections show 11111111-0000-4000-8000-000000000001'))
    .action(async (id: string, { json }: { json?: true }) => {
      const { showConnection } = await import('./connection-show.js');
      const config = loadConfig(cli.env, { need: [] });
      const shown = await readDatabase(config, (database) => showConnection(database, id, config));
      if (shown === null)
        throw new ConfigurationError('USAGE_INVALID', 'the database knows no connection of that id');
      if (json) printJson(cli, shown);
      else printLine(cli, showText(shown));
      done(EXIT.ok);
    });
}

function listTable(listed: readonly ListedConnection[]): string {
  return formatTable(
    ['ID', 'KIND', 'TYPE', 'NAME', 'STATE', 'MANAGER', 'REVISION', 'SECRETS', 'UPDATED'],
    listed.map((each) => [
      each.id,
      each.kind,
      each.serviceType,
      each.name,
      each.state,
      each.manager,
      each.revision,
      each.secretFields,
      each.updatedAt,
    ]),
  );
}

function showText({ entity, secretFields, ...facts }: ShownConnection): string {
  const fields = formatTable(
    ['FIELD', 'OWNED', 'KEPT IN', 'REFERENCE', 'ROW'],
    secretFields.map(({ path, owned, keptIn, reference, altered }) => [
      path,
      owned ? 'yes' : 'no',
      keptIn,
      reference,
      altered === null ? 'not checked' : altered ? 'altered' : 'as written',
    ]),
  );
  return [
    formatFields(Object.entries(facts)),
    '',
    fields,
    '',
    entity === null ? 'no entity' : JSON.stringify(entity, null, 2).split('\n').map(printable).join('\n'),
  ].join('\n');
}
