import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { PROJECT_DIR, tmpDir } from '../harness/index.js';
import { runCommand } from '../harness/run-command.js';

const MAX_BYTES = 25 * 1024 * 1024;
const AWS = 'npm install @aws-sdk/client-secrets-manager';

interface Library {
  readonly name: string;
  /** A program of somebody else that uses what it promises. */
  readonly program: string;
  readonly schema: string;
}

const READER: Library = {
  name: '@connection-secrets/ingestion',
  schema: 'connection.secured.json',
  program: `
import { createResolver, ingestionFromEnv, reveal, SecretValue, subscribeSecured, UnresolvedReferenceError } from '@connection-secrets/ingestion';
import type { FilledObject, Resolver, SecuredDelivery, Subscription } from '@connection-secrets/ingestion';

const settings = { OM_SM_REGION: 'eu-west-1', OM_SM_ACCESS_KEY: new SecretValue('x') };
export const resolver: Resolver = createResolver({ settings });
export async function handle({ resolve, event }: SecuredDelivery): Promise<number> {
  try {
    const filled: FilledObject | null = await resolve();
    if (filled !== null) reveal(filled);
  } catch (error) {
    if (error instanceof UnresolvedReferenceError && error.isFinal) return 0;
    throw error;
  }
  return event.revision;
}
export const subscribe = (): Subscription =>
  subscribeSecured({ ...ingestionFromEnv({ KAFKA_BROKERS: 'h:1' }).subscription, resolver }, async (delivery) => {
    await handle(delivery);
  });
// @ts-expect-error a text is no reference's value
export const wrong: string = await resolver.resolve('secret:/a');
`,
};
const PUBLISHER: Library = {
  name: '@connection-secrets/publisher',
  schema: 'change-event.json',
  program: `
import { createChangeSealer, createPublisher, publisherFromEnv } from '@connection-secrets/publisher';
import type { ChangeRecord, EntityChange, Publisher } from '@connection-secrets/publisher';

export const change: EntityChange = { eventType: 'entityUpdated', entityType: 'databaseService', entity: { id: '1', name: 'n' } };
export const seal = (fernetKeys: string): ChangeRecord => createChangeSealer({ fernetKeys }).seal(change);
export const publisher = (): Publisher => createPublisher(publisherFromEnv({}));
// @ts-expect-error there is no such event
export const wrong: EntityChange = { eventType: 'entityMoved', entityType: 'databaseService', entity: {} };
`,
};

/** The packed library, installed by npm into an empty folder: what a stranger gets. */
async function installed(library: Library): Promise<string> {
  const project = tmpDir('library');
  const folder = join(PROJECT_DIR, 'packages', library.name.split('/')[1] ?? '');
  const flags = ['--ignore-scripts', '--silent'];
  await runCommand('npm', ['pack', ...flags, '--pack-destination', project], { cwd: folder });
  const [tarball = ''] = readdirSync(project).filter((file) => file.endsWith('.tgz'));
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'stranger', private: true }));
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  await runCommand('npm', ['install', ...quiet, `./${tarball}`], { cwd: project });
  return project;
}

const bytesIn = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);

describe.each([READER, PUBLISHER])('$name, as a stranger installs it', ({ name, program, schema }) => {
  let project: string;
  beforeAll(async () => {
    project = await installed({ name, program, schema });
  });
  const node = (...args: string[]): Promise<string> => runCommand(process.execPath, args, { cwd: project });

  it('takes less than 25 MB, and brings neither a database nor an SDK of a provider', () => {
    const modules = join(project, 'node_modules');
    expect(bytesIn(modules)).toBeLessThan(MAX_BYTES);
    const there = readdirSync(modules);
    for (const folder of ['typeorm', 'pg', 'mysql2', 'better-sqlite3', 'fastify', '@aws-sdk', '@smithy'])
      expect(there).not.toContain(folder);
  });

  it('gives the same names, and the same classes, to import and to require', async () => {
    const script = `
      import { createRequire } from 'node:module';
      import * as all from '${name}';
      const required = createRequire(import.meta.url)('${name}');
      const names = Object.keys(required);
      if (names.some((one) => all[one] !== required[one])) throw new Error('another one');
      console.log(names.join());`;
    const names = await node('--input-type=module', '-e', script);
    expect(names.split(',')).toEqual(expect.arrayContaining(['SecretValue', 'WorkerError']));
  });

  it('has the schemas of the events', async () => {
    const schemas = readdirSync(join(PROJECT_DIR, 'docs', 'schemas'));
    expect(readdirSync(join(project, 'node_modules', name, 'dist', 'schemas'))).toEqual(schemas);
    expect(await node('-p', `require('${name}/schemas/${schema}').$id`)).toContain(schema);
  });

  it.each([
    ['nodenext', 'nodenext', 'mts'],
    ['nodenext', 'nodenext', 'cts'],
    ['esnext', 'bundler', 'mts'],
  ])(
    'has types for strict programs that check libraries, too: %s, %s, %s',
    async (module, resolution, ending) => {
      const file = `main.${ending}`;
      // CommonJS knows no await outside of functions.
      writeFileSync(
        join(project, file),
        ending === 'cts' ? program.replace('await resolver.', 'resolver.') : program,
      );
      mkdirSync(join(project, 'node_modules', '@types'), { recursive: true });
      const roots = ['--typeRoots', join(PROJECT_DIR, 'node_modules', '@types'), '--types', 'node'];
      const options = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--noEmit'];
      const target = ['--target', 'es2022', '--module', module, '--moduleResolution', resolution];
      const compiler = join(PROJECT_DIR, 'node_modules', 'typescript', 'bin', 'tsc');
      await node(compiler, ...options, ...target, ...roots, '--skipLibCheck', 'false', file);
    },
  );
});

describe('a reader without the SDK of the store', () => {
  it('is told at every attempt what to install', async () => {
    const project = await installed(READER);
    const script = `
      const { createResolver } = require('${READER.name}');
      const resolver = createResolver({ settings: { OM_SM_REGION: 'eu-west-1' } });
      const ask = () => resolver.resolve('secret:/a', { store: { provider: 'aws-secrets-manager' } }).catch((e) => e.message);
      (async () => console.log(JSON.stringify([await ask(), await ask()])))();`;
    const messages = JSON.parse(
      await runCommand(process.execPath, ['-e', script], { cwd: project }),
    ) as string[];
    for (const message of messages) expect(message).toContain(AWS);
    expect(messages).toHaveLength(2);
  });
});

describe('packages/', () => {
  it.each(['ingestion', 'publisher'])('%s has the versions of the program', (folder) => {
    const read = (...path: string[]): Record<string, unknown> =>
      JSON.parse(readFileSync(join(PROJECT_DIR, ...path, 'package.json'), 'utf8')) as Record<string, unknown>;
    const { version, dependencies } = read();
    const own = read('packages', folder);
    expect(own['version']).toBe(version);
    expect(dependencies).toMatchObject(own['dependencies'] as object);
  });
});
