import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generateKey } from '../../../src/fernet/index.js';
import { runCli, sealedFor, type CliResult } from '../../harness/index.js';
import { changeEvent, CONNECTION_ID, localSetup, MARKER, type LocalSetup } from './support.js';

const MASK = '*********';
const AT = 1_790_000_000_000;

interface Kept {
  readonly id: string;
  readonly code: string;
  readonly state: string;
}

function kept(result: CliResult): Kept[] {
  return (JSON.parse(result.stdout) as { items: Kept[] }).items;
}

function pipe(
  { dir, env }: LocalSetup,
  lines: readonly string[],
  more: Record<string, string> = {},
): Promise<CliResult> {
  return runCli(['pipe', '--out', join(dir, 'out.ndjson')], {
    env: { ...env, ...more },
    input: lines.join('\n'),
  });
}

/** A sealed password that cannot be opened yet, and a later event that masks it. */
async function blockedSetup(): Promise<{ setup: LocalSetup; publisherKey: string }> {
  const setup = localSetup();
  const publisherKey = generateKey();
  const sealed = sealedFor(publisherKey, CONNECTION_ID, MARKER);
  const result = await pipe(setup, [
    changeEvent({ eventId: 'first', password: sealed }),
    changeEvent({ eventId: 'second', password: MASK, eventType: 'entityUpdated', timestampMs: AT + 1 }),
  ]);
  expect(result.code).toBe(3);
  return { setup, publisherKey };
}

describe('dead-letters', () => {
  it('retries what was refused and what is kept behind it, in their order, once the cause is gone', async () => {
    const { setup, publisherKey } = await blockedSetup();
    const list = await runCli(['dead-letters', 'list', '--json'], { env: setup.env });
    expect(kept(list).map(({ code }) => code)).toEqual(['TOKEN_NOT_OPENED', 'EVENT_BLOCKED']);
    expect(list.stdout).not.toContain(MARKER);

    const retry = await runCli(['dead-letters', 'retry', '--all'], { env: setup.env });
    expect(retry).toMatchObject({ code: 0 });
    const again = await pipe(setup, [], { PUBLISHER_FERNET_KEY: publisherKey });
    expect(again.code).toBe(0);
    expect(kept(await runCli(['dead-letters', 'list', '--json'], { env: setup.env }))).toEqual([]);
    const resolved = await runCli(['resolve', 'secret:/openmetadata/database/mysql-test/password'], {
      env: setup.env,
    });
    expect(resolved.stdout.trim()).toBe(MARKER);
    const connections = await runCli(['connections', 'list', '--json'], { env: setup.env });
    expect(JSON.parse(connections.stdout)).toMatchObject({ items: [{ revision: 2 }] });
  });

  it('keeps an event whose id came before with other content, until somebody decides', async () => {
    const setup = localSetup();
    const [first, second] = [
      changeEvent({ password: 'the-first' }),
      changeEvent({ password: MARKER, timestampMs: AT + 1 }),
    ];
    expect((await pipe(setup, [first])).code).toBe(0);
    const again = await pipe(setup, [second, first]);
    expect(again.code).toBe(3);
    expect(again.stderr).toContain('EVENT_ID_REUSED');
    const list = await runCli(['dead-letters', 'list', '--json'], { env: setup.env });
    expect(kept(list).map(({ code }) => code)).toEqual(['EVENT_ID_REUSED']);
    expect(list.stdout).not.toContain(MARKER);

    await runCli(['dead-letters', 'retry', '--all'], { env: setup.env });
    expect((await pipe(setup, [])).code).toBe(0);
    const password = ['resolve', 'secret:/openmetadata/database/mysql-test/password'];
    expect((await runCli(password, { env: setup.env })).stdout.trim()).toBe(MARKER);
    expect((await pipe(setup, [first, second])).code).toBe(0);
    expect((await runCli(password, { env: setup.env })).stdout.trim()).toBe(MARKER);
  });

  it('keeps what is refused again', async () => {
    const { setup } = await blockedSetup();
    await runCli(['dead-letters', 'retry', '--all'], { env: setup.env });
    expect((await pipe(setup, [])).code).toBe(3);
    expect(kept(await runCli(['dead-letters', 'list', '--json'], { env: setup.env }))).toHaveLength(2);
  });

  it('keeps a record that is no event, however often it is retried', async () => {
    const setup = localSetup();
    expect((await pipe(setup, [`{"password": "${MARKER}", broken`])).code).toBe(3);
    await runCli(['dead-letters', 'retry', '--all'], { env: setup.env });
    await pipe(setup, []);
    const list = await runCli(['dead-letters', 'list', '--json'], { env: setup.env });
    expect(kept(list).map(({ code }) => code)).toEqual(['EVENT_NOT_DECODABLE']);
    expect(list.stdout).not.toContain(MARKER);
  });

  it('shows one with the remedy, and discards it with an entry in the audit', async () => {
    const { setup } = await blockedSetup();
    const [first] = kept(await runCli(['dead-letters', 'list', '--json'], { env: setup.env }));
    const id = first?.id.slice(0, 12) ?? '';
    const show = await runCli(['dead-letters', 'show', id], { env: setup.env });
    expect(show.stdout).toContain('PUBLISHER_FERNET_KEY');
    expect(show.stdout).not.toContain(MARKER);
    const discard = await runCli(['dead-letters', 'discard', id, '--reason', 'published again'], {
      env: setup.env,
    });
    expect(discard).toMatchObject({ code: 0 });
    expect(kept(await runCli(['dead-letters', 'list', '--json'], { env: setup.env }))).toHaveLength(1);
    const audit = await runCli(['audit', 'list', '--action', 'discard', '--json'], { env: setup.env });
    expect(JSON.parse(audit.stdout)).toMatchObject({
      items: [{ eventId: 'first', detail: 'TOKEN_NOT_OPENED: published again' }],
    });
  });

  it.each([
    ['nothing chosen', ['retry']],
    ['all and a filter', ['retry', '--all', '--code', 'EVENT_BLOCKED']],
    ['no id', ['discard', 'x']],
    ['no such code', ['list', '--code', 'OOPS']],
    ['no such state', ['list', '--state', 'undead']],
  ])('%s: exit code 2', async (_, args) => {
    const { setup } = await blockedSetup();
    expect((await runCli(['dead-letters', ...args], { env: setup.env })).code).toBe(2);
  });

  it('the page of error codes is named, not each of them', async () => {
    const { stdout } = await runCli(['dead-letters', 'list', '--help']);
    expect(stdout).toContain('docs/errors.md');
    expect(stdout).not.toContain('EVENT_BLOCKED');
  });
});
