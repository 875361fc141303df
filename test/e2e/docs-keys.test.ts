import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generateKey } from '../../src/fernet/index.js';
import { docBlock, expectShown, runBlock, runCli, tmpDir } from '../harness/index.js';
import { changeEvent, MARKER } from '../components/cli/support.js';

const STEPS = [
  docBlock('docs/keys.md', 'sh', 'generate-key'),
  docBlock('docs/keys.md', 'sh', 'export FERNET_KEY="$NEW_KEY,$OLD_KEY"'),
  docBlock('docs/keys.md', 'sh', 'rotate-keys'),
  docBlock('docs/keys.md', 'sh', 'doctor'),
  docBlock('docs/keys.md', 'sh', 'FERNET_KEY="$NEW_KEY"'),
];
const SHOWN = docBlock('docs/keys.md', 'text', 'old keys');

describe('docs/keys.md', () => {
  it('replaces the key, step by step, and the old one can go', async () => {
    const dir = tmpDir('keys');
    const database = `sqlite:${join(dir, 'worker.sqlite')}`;
    const [oldKey, apart] = [generateKey(), generateKey()];
    const env = {
      OLD_KEY: oldKey,
      DATABASE_URL: database,
      SECRET_MANAGER: 'local',
      PUBLISHER_FERNET_KEY: apart,
    };
    const first = await runCli(['pipe'], { env: { ...env, FERNET_KEY: oldKey }, input: changeEvent() });
    expect(first.code).toBe(0);

    // With the new key alone, at the end: another start, which still knows the unchanged text, and a reader.
    const again = changeEvent({
      eventId: 'again',
      eventType: 'entityUpdated',
      timestampMs: 1_790_000_009_000,
    });
    const end = {
      ...STEPS[4]!,
      text: [
        `printf '%s\\n' '${again}' | connection-secrets pipe --out ${join(dir, 'out.ndjson')} 2> /dev/null`,
        'connection-secrets resolve secret:/openmetadata/database/mysql-test/password',
        '',
      ].join('\n'),
    };
    const { code, stdout, stderr } = await runBlock([...STEPS, end], { env });
    expect(code, stderr).toBe(0);
    expect(stdout.trimEnd().split('\n').at(-1)).toBe(MARKER);
    expect(stdout).toContain('Nothing needs an old key.');
    expectShown(SHOWN, stdout);
    expect(existsSync(join(dir, 'out.ndjson'))).toBe(true);
  });
});
