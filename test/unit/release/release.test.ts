import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { PROJECT_DIR } from '../../harness/index.js';

const read = (...path: string[]): string => readFileSync(join(PROJECT_DIR, ...path), 'utf8');

interface Step {
  readonly run?: string;
  readonly uses?: string;
}
interface Job {
  readonly steps?: readonly Step[];
  readonly uses?: string;
  readonly needs?: string;
  readonly strategy?: { readonly matrix: { readonly node: readonly string[] } };
}
interface Workflow {
  readonly permissions: Record<string, string>;
  readonly jobs: Record<string, Job>;
}
const workflow = (name: string): Workflow => parse(read('.github', 'workflows', `${name}.yml`)) as Workflow;
const WORKFLOWS = ['ci', 'release'];

describe('the workflows', () => {
  it.each(WORKFLOWS)('%s runs what is there, with no right that it was not given', (name) => {
    const { permissions, jobs } = workflow(name);
    expect(permissions).toEqual({ contents: 'read' });
    const steps = Object.values(jobs).flatMap((job) => job.steps ?? []);
    const commands = steps.map(({ run = '' }) => run).join('\n');
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    for (const [, script = ''] of commands.matchAll(/npm run ([\w:-]+)/g))
      expect(scripts).toHaveProperty(script);
    for (const [, file = ''] of commands.matchAll(/(?:node|bash) ((?!-)[\w./-]+)/g))
      expect(existsSync(join(PROJECT_DIR, file)), file).toBe(true);
    for (const { uses = 'x@v1' } of steps) expect(uses).toMatch(/@v\d+(\.\d+)*$/);
  });

  it('test the oldest Node.js that works and the one of .nvmrc', () => {
    const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } };
    const tested = workflow('ci').jobs['test']?.strategy?.matrix.node;
    expect(tested).toContain(engines.node.replace('>=', ''));
    expect(tested).toContain(read('.nvmrc').trim());
  });

  it('publish nothing that was not tested', () => {
    const { jobs } = workflow('release');
    for (const [name, { needs }] of Object.entries(jobs))
      expect(needs, name).toBe(name === 'test' ? undefined : 'test');
    expect(jobs['test']?.uses).toBe('./.github/workflows/ci.yml');
  });

  it('come with forms that are well-formed', () => {
    const forms = readdirSync(join(PROJECT_DIR, '.github', 'ISSUE_TEMPLATE'));
    for (const form of forms) expect(parse(read('.github', 'ISSUE_TEMPLATE', form))).toBeTypeOf('object');
    expect(parse(read('.github', 'dependabot.yml'))).toMatchObject({ version: 2 });
  });
});

describe('the list of licences', () => {
  it('has every package that runs, each with one that goes with ours', () => {
    const list = execFileSync(process.execPath, [join(PROJECT_DIR, 'scripts', 'licences.mjs')], {
      encoding: 'utf8',
    });
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
    for (const [name, version] of Object.entries(dependencies)) expect(list).toContain(`${name} ${version} `);
    expect(list).not.toContain('vitest');
  });
});
