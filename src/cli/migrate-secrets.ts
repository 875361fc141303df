import { Option } from 'commander';
import { loadConfig, type Config } from '../config.js';
import type { PageRequest } from '../database/page.js';
import { ConfigurationError } from '../errors.js';
import type { PlannedMove } from '../operations/migrate/preview.js';
import type { MigrationStatus } from '../operations/migrate/run.js';
import { readDatabase } from '../operations/open-database.js';
import { counted } from '../plural.js';
import { DEFAULT_MANAGER, MANAGER_NAMES } from '../secrets-managers/providers.js';
import type { ManagerName } from '../terms.js';
import type { MigrationRecord, MigrationRequest } from '../upkeep/migration-record.js';
import { EXIT, type Cli } from './cli.js';
import { command, option } from './define-command.js';
import { commandLogger } from './logging.js';
import { PAGE_OPTIONS, pageRequest, type Answer, type PageOptions } from './output.js';
import { wholeNumber } from './parse.js';
import { howToResume, showingProgress } from './progress.js';
import { isoTime, type Look } from './text.js';

interface RunOptions {
  readonly concurrency?: number;
}

interface MigrateOptions extends RunOptions {
  readonly to?: ManagerName;
  readonly from?: ManagerName;
  readonly connection?: readonly string[];
  readonly deleteSource?: true;
  readonly dryRun?: true;
}

const CONCURRENCY = 8;
const NEWEST: PageRequest = { limit: 1, after: null };
/** What all that move have in common. */
const MOVE = {
  isAudited: true,
  notes: 'Without KAFKA_BROKERS the secured events wait in the database for the next `start`.',
  exits: ['all moved', 'some could not be (listed) or it was interrupted'],
} as const;
const LANES = option(
  '--concurrency <number>',
  `connections at the same time; ${CONCURRENCY} by default`,
  wholeNumber(1, 100),
);

const resume = command<RunOptions>({
  ...MOVE,
  name: 'resume',
  about: 'go on with the newest migration that did not come to its end',
  options: [LANES],
  examples: ['migrate-secrets resume'],
  run: async (cli, options) => move(cli, await unfinished(cli), options),
});

const rollback = command<RunOptions>({
  ...MOVE,
  name: 'rollback',
  about: 'back to the manager that was active before; what events have set since goes along',
  options: [LANES],
  examples: ['migrate-secrets rollback'],
  confirms: async (cli) => whatHurts(cli, await backwards(cli)),
  run: async (cli, options) => move(cli, await backwards(cli), options),
});

const status = command<PageOptions>({
  name: 'status',
  about: 'where the connections are, and the last migrations',
  names: 'id',
  options: PAGE_OPTIONS,
  examples: ['migrate-secrets status', 'migrate-secrets status --output json'],
  run: async (cli, options) => {
    const found = await readStatus(cli, pageRequest(options));
    return {
      json: { ...found, items: found.items.map(recordJson) },
      text: (look) => statusText(found, look),
    };
  },
});

export const migrateSecrets = command<MigrateOptions>({
  ...MOVE,
  name: 'migrate-secrets',
  about: 'move the secrets to another manager, connection by connection, and make it the active one',
  options: [
    new Option('--to <manager>', 'where to').choices(MANAGER_NAMES),
    new Option('--from <manager>', 'only what is kept there').choices(MANAGER_NAMES),
    option('--connection <id...>', 'only these now; workers and later runs move the rest'),
    option('--delete-source', 'delete what the former manager has at once, instead of after the grace'),
    option('--dry-run', 'say what would be moved and what could not be; changes nothing'),
    LANES,
  ],
  examples: [
    'migrate-secrets --to managed-aws --dry-run',
    'migrate-secrets --to managed-aws',
    'migrate-secrets --to managed-aws --delete-source',
    'migrate-secrets status',
  ],
  confirms: async (cli, options) => {
    const request = requestOf(options);
    return options.dryRun ? null : whatHurts(cli, request);
  },
  run: (cli, options) => {
    const request = requestOf(options);
    return options.dryRun ? preview(cli, request) : move(cli, request, options);
  },
  subcommands: [resume, rollback, status],
});

function requestOf({ to, from, connection, deleteSource }: MigrateOptions): MigrationRequest {
  if (to === undefined)
    throw new ConfigurationError('USAGE_INVALID', '--to: say which secrets manager is to have the secrets');
  if (from === to) throw new ConfigurationError('USAGE_INVALID', '--from and --to are the same');
  return {
    to,
    from: from ?? null,
    connectionIds: connection ?? null,
    deleteSource: deleteSource ?? false,
  };
}

/** Out of a store, or without the grace. */
async function whatHurts(cli: Cli, request: MigrationRequest): Promise<string | null> {
  const { to, from, connectionIds, deleteSource } = request;
  if (to !== DEFAULT_MANAGER && !deleteSource) return null;
  const [moving, left] = await readDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
    const { countElsewhere, countLeft } = await import('../database/find-pending.js');
    return database.run(async (tx) => [
      await countElsewhere(tx, { active: to, from, connectionIds, after: '' }),
      await countLeft(tx, to),
    ]);
  });
  const are = counted(moving ?? 0, 'connection');
  const were = counted(left ?? 0, 'secret');
  if (deleteSource && (moving !== 0 || left !== 0))
    return `${are} would move to ${to}; what they leave is deleted at once, without the grace, and so ${were} that earlier moves left`;
  return moving === 0 ? null : `the values of ${are} would leave their store, and lie sealed in the database`;
}

async function move(
  cli: Cli,
  request: MigrationRequest,
  { concurrency = CONCURRENCY }: RunOptions,
): Promise<Answer> {
  const config = configFor(cli, request.to);
  const shown = { title: 'migrating', unit: 'connections' };
  const record = await showingProgress(cli, shown, async (progress, signal) => {
    const { runMigration } = await import('../operations/migrate/run.js');
    const logger = commandLogger(cli, config);
    return runMigration({ config, request, concurrency, logger, progress, signal });
  });
  return {
    json: recordJson(record),
    note: record.state === 'interrupted' ? howToResume('migrate-secrets resume') : undefined,
    text: (look) => recordText(record, look),
    code: record.state === 'done' ? EXIT.ok : EXIT.failed,
  };
}

async function preview(cli: Cli, request: MigrationRequest): Promise<Answer> {
  const config = configFor(cli, request.to);
  const shown = { title: 'looking', unit: 'connections' };
  const { planned, isWhole } = await showingProgress(cli, shown, async (progress, signal) => {
    const { runPreview } = await import('../operations/migrate/run.js');
    return {
      planned: await runPreview({ config, request, progress, signal }),
      isWhole: !signal.aborted,
    };
  });
  const fits = planned.every(({ problem }) => problem === null);
  return {
    json: { ok: fits, to: request.to, connections: planned },
    text: (look) => previewText(request.to, planned, look),
    code: fits && isWhole ? EXIT.ok : EXIT.failed,
  };
}

/** The settings, with the target as the secrets manager: whatever SECRET_MANAGER says now. */
function configFor(cli: Cli, to: ManagerName): Config<'keys'> {
  return loadConfig({ ...cli.env, SECRET_MANAGER: to }, { need: ['keys'] });
}

async function unfinished(cli: Cli): Promise<MigrationRequest> {
  return readDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
    const { listMigrations } = await import('../upkeep/migration-record.js');
    const { items } = await listMigrations(database, NEWEST);
    const [newest] = items;
    if (newest === undefined || newest.state === 'done')
      throw new ConfigurationError(
        'USAGE_INVALID',
        'there is no migration to go on with: see `migrate-secrets status`',
      );
    return newest.request;
  });
}

async function backwards(cli: Cli): Promise<MigrationRequest> {
  const { former } = await readStatus(cli, NEWEST);
  const to = former.at(-1);
  if (to === undefined)
    throw new ConfigurationError(
      'USAGE_INVALID',
      'no other secrets manager was active before: there is no way back',
    );
  return { to, from: null, connectionIds: null, deleteSource: false };
}

async function readStatus(cli: Cli, page: PageRequest) {
  return readDatabase(loadConfig(cli.env, { need: [] }), async (database) => {
    const { readMigrationStatus } = await import('../operations/migrate/run.js');
    return readMigrationStatus(database, page);
  });
}

/** Of so many connections each is named in a table; JSON has them all. */
const LISTED = 50;

function recordJson({ id, state, request, by, progress, createdAtMs, updatedAtMs }: MigrationRecord) {
  return {
    id,
    state,
    ...request,
    by,
    ...progress,
    createdAt: isoTime(createdAtMs),
    updatedAt: isoTime(updatedAtMs),
  };
}

function recordText({ state, request, progress }: MigrationRecord, look: Look): string {
  const { moved, total, left, failures, unsent, deleted, kept } = progress;
  const lines = [`${moved} of ${counted(total, 'connection')} moved to ${request.to}${WORDS[state]}`];
  const byOthers = total - left - moved;
  if (byOthers > 0) lines.push(`${byOthers} moved by events and workers meanwhile`);
  if (failures.length > 0) lines.push(failureTable(failures, look), `${failures.length} could not be moved`);
  if (unsent > 0)
    lines.push(
      `${counted(unsent, 'secured event')} still in the database: the next \`start\` publishes what is there`,
    );
  if (request.deleteSource) {
    lines.push(`${counted(deleted, 'secret')} deleted from the former place`);
    if (kept > 0)
      lines.push(`${kept} still there: referred to by name, in doubt, or of a manager that cannot be opened`);
  } else if (moved > 0)
    lines.push('What they left is deleted after SECRET_DELETION_GRACE_SECONDS, by the workers.');
  return lines.join('\n');
}

const WORDS = { running: '', interrupted: ' so far', done: '', failed: '' } as const;

function failureTable(failures: MigrationRecord['progress']['failures'], look: Look): string {
  return look.table(
    ['CONNECTION', 'NAME', 'CODE', 'DETAIL'],
    failures
      .slice(0, LISTED)
      .map(({ connectionId, name, code, detail }) => [connectionId, name, code, detail]),
  );
}

function previewText(to: ManagerName, planned: readonly PlannedMove[], look: Look): string {
  const fit = planned.filter(({ problem }) => problem === null);
  const unfit = planned.filter(({ problem }) => problem !== null);
  const sum = (of: (one: PlannedMove) => number): number =>
    planned.reduce((total, one) => total + of(one), 0);
  const lines = [
    look.table(
      ['CONNECTION', 'NAME', 'FROM', 'VALUES', 'EXTERNAL', 'PROBLEM'],
      [...unfit, ...fit]
        .slice(0, LISTED)
        .map(({ connectionId, name, from, values, external, problem }) => [
          connectionId,
          name,
          from,
          values,
          external,
          problem === null ? null : `${problem.code}: ${problem.detail}`,
        ]),
    ),
    `${counted(fit.length, 'connection')} with ${counted(
      sum(({ values }) => values),
      'value',
    )} would be moved to ${to}, ${unfit.length} could not be`,
  ];
  const external = sum((one) => one.external);
  if (external > 0)
    lines.push(
      `${counted(external, 'reference of users', 'references of users')} unchanged: looked up in ${to} from then on`,
    );
  return planned.length === 0 ? `Nothing would be moved: everything is in ${to}` : lines.join('\n');
}

function statusText({ active, former, connections, items }: MigrationStatus, look: Look): string {
  return [
    `active: ${active ?? '-'}${former.length === 0 ? '' : `, before: ${former.join(', ')}`}`,
    look.table(
      ['KEPT IN', 'CONNECTIONS'],
      connections.map(({ manager, count }) => [manager, count]),
    ),
    ...(items.length === 0 ? [] : ['', migrationTable(items, look)]),
  ].join('\n');
}

function migrationTable(migrations: readonly MigrationRecord[], look: Look): string {
  return look.table(
    ['ID', 'STATE', 'TO', 'MOVED', 'OF', 'FAILED', 'SINCE', 'BY'],
    migrations.map(({ id, state, request, progress, createdAtMs, by }) => [
      id.slice(0, 8),
      state,
      request.to,
      progress.moved,
      progress.total,
      progress.failures.length,
      isoTime(createdAtMs),
      by,
    ]),
  );
}
