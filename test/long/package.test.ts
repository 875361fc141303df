import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { PROJECT_DIR, tmpDir } from '../harness/index.js';
import { runCommand } from '../harness/run-command.js';

const NAME = 'connection-secrets-worker';

/** A program of somebody else that uses what both libraries promise. */
const PROGRAM = `
import { createResolver, ingestionFromEnv, reveal, SecretValue, subscribeSecured, UnresolvedReferenceError } from '${NAME}/ingestion';
import type { FilledObject, Resolver, SecuredDelivery, Subscription } from '${NAME}/ingestion';
import { createChangeSealer, createPublisher, publisherFromEnv } from '${NAME}/publisher';
import type { ChangeRecord, EntityChange, Publisher } from '${NAME}/publisher';

const aws = { region: 'eu-west-1', accessKeyId: 'id', secretAccessKey: new SecretValue('x') };
export const resolver: Resolver = createResolver({ aws });
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
export const change: EntityChange = { eventType: 'entityUpdated', entityType: 'databaseService', entity: { id: '1', name: 'n' } };
export const seal = (fernetKeys: string): ChangeRecord => createChangeSealer({ fernetKeys }).seal(change);
export const publisher = (): Publisher => createPublisher(publisherFromEnv({}));
// @ts-expect-error a text is no reference's value
export const wrong: string = await resolver.resolve('secret:/a');
`;

interface Manifest {
  readonly bin: Record<string, string>;
  readonly scripts: Record<string, string>;
  readonly keywords: readonly string[];
}

/** What the tarball has, in an empty project beside nothing but its dependencies and TypeScript with Node's types. */
async function strangersProject(): Promise<string> {
  const project = tmpDir('stranger');
  const modules = join(project, 'node_modules');
  mkdirSync(join(modules, '@types'), { recursive: true });
  await runCommand('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', project], {
    cwd: PROJECT_DIR,
  });
  const [tarball = ''] = readdirSync(project).filter((file) => file.endsWith('.tgz'));
  await runCommand('tar', ['-xzf', join(project, tarball), '-C', modules]);
  await runCommand('mv', [join(modules, 'package'), join(modules, NAME)]);
  const { dependencies } = JSON.parse(readFileSync(join(modules, NAME, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  for (const name of [...Object.keys(dependencies), '@types/node', 'typescript']) {
    mkdirSync(join(modules, name, '..'), { recursive: true });
    symlinkSync(join(PROJECT_DIR, 'node_modules', name), join(modules, name));
  }
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'stranger', private: true }));
  writeFileSync(join(project, 'main.mts'), PROGRAM);
  return project;
}

describe('the package, as a stranger installs it', () => {
  let project: string;
  beforeAll(async () => {
    project = await strangersProject();
  });
  const node = (...args: string[]): Promise<string> => runCommand(process.execPath, args, { cwd: project });
  const manifest = (): Manifest =>
    JSON.parse(readFileSync(join(project, 'node_modules', NAME, 'package.json'), 'utf8')) as Manifest;
  const print = (names: string): string => `console.log(Object.keys(${names}).sort().join());`;

  it.each(['', '/ingestion', '/publisher'])('gives %j to import and to require', async (entry) => {
    const imported = `import * as all from '${NAME}${entry}'; ${print('all')}`;
    const names = await node('--input-type=module', '-e', imported);
    expect(names).toContain('SecretValue');
    const required = await node('-e', print(`require('${NAME}${entry}')`));
    expect(required.trim().split(',')).toEqual(expect.arrayContaining(names.trim().split(',')));
  });

  it.each([
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ])('has types for strict programs that check libraries, too: %s', async (module, moduleResolution) => {
    const options = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--noEmit'];
    const target = ['--target', 'es2022', '--module', module, '--moduleResolution', moduleResolution];
    const checked = ['--skipLibCheck', 'false', '--types', 'node', 'main.mts'];
    await node(join('node_modules', 'typescript', 'bin', 'tsc'), ...options, ...target, ...checked);
  });

  it('has what runs, its types, the documentation, and no other file', async () => {
    const folder = join(project, 'node_modules', NAME);
    const version = await node(join(folder, manifest().bin['connection-secrets'] ?? ''), '--version');
    expect(version).toMatch(/^\d+\.\d+\.\d+\n$/);
    const files = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
    const expected = [
      /^(CHANGELOG|README)\.md$|^LICENSE$|^package\.json$/,
      /^dist\/(consumers|migrations|producers|src)\/.*(?<!\.test)\.(js|d\.ts)$/,
      /^dist\/build\.json$/,
      /^dist\/src\/catalog\/data\/[^/]+\.json$/,
      /^docs\/[\w-]+\.(md|yaml)$/,
      /^docs\/schemas\/[\w.-]+\.json$/,
    ];
    expect(files.filter((file) => !expected.some((pattern) => pattern.test(file)))).toEqual([]);
    expect(files).toEqual(
      expect.arrayContaining(['docs/asyncapi.yaml', 'docs/schemas/connection.secured.json']),
    );
    const pointing = files.filter((file) =>
      readFileSync(join(folder, file), 'utf8').includes('sourceMappingURL'),
    );
    expect(pointing).toEqual([]);
  });

  it('is built before it is packed, and says what it is', () => {
    const { scripts, keywords } = manifest();
    expect(scripts['prepack']).toBe('npm run build');
    expect(keywords).toContain('openmetadata');
  });
});
