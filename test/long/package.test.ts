import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { PROJECT_DIR, tmpDir } from '../harness/index.js';
import { runCommand } from '../harness/run-command.js';

const NAME = 'connection-secrets-worker';

/** A program of somebody else that uses what the package promises. */
const PROGRAM = `
import { ERROR_CODES, SecretValue, WorkerError } from '${NAME}';
import type { ErrorCode, SecuredEvent } from '${NAME}';

export const shown: string = new SecretValue('x').reveal();
export const codeOf = (error: unknown): ErrorCode | null => (error instanceof WorkerError ? error.code : null);
export const revisionOf = (event: SecuredEvent): number => event.revision;
export const remedy: string = ERROR_CODES.CONFIG_INVALID.remedy;
// @ts-expect-error a secret is no text
export const wrong: string = new SecretValue('x');
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

  it('gives its words and errors to import and to require', async () => {
    const imported = `import * as all from '${NAME}'; ${print('all')}`;
    const names = await node('--input-type=module', '-e', imported);
    expect(names).toContain('SecretValue');
    const required = await node('-e', print(`require('${NAME}')`));
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
      /^docs\/(providers\/)?[\w-]+\.(md|yaml)$/,
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
