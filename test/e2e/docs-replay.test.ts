import { expect, it } from 'vitest';
import {
  createDatabase,
  describeWith,
  docBlock,
  queryDatabase,
  readAll,
  runBlock,
} from '../harness/index.js';
import { createWorld, publish, serviceEvent } from './fixture.js';

describeWith(['kafka', 'postgres'], 'the commands of replay.md', ({ kafka }) => {
  it('do what the page says', async () => {
    const database = await createDatabase('postgres');
    const world = await createWorld({
      brokers: kafka,
      databaseUrl: database.url,
      manager: 'db',
      partitions: 1,
    });
    const { env } = world;
    const timestampMs = Date.now() - 60_000;
    const event = serviceEvent({ id: 'one', name: 'one', password: 'value', timestampMs });
    await publish(world.topics.created, [event], kafka);

    const preview = await runBlock(docBlock('docs/replay.md', 'sh', 'replay --from-time 24h --dry-run'), {
      env,
    });
    expect(preview.code, preview.stderr).toBe(0);
    expect(preview.stdout).toContain('1 applied');
    expect(await readAll(world.topics.secured)).toEqual([]);

    const run = await runBlock(docBlock('docs/replay.md', 'sh', '--from-time 36h'), { env });
    expect(run.code, run.stderr).toBe(0);
    expect(run.stdout).toContain('1 applied');

    await queryDatabase(database, "UPDATE operation SET state = 'interrupted'");
    const resumed = await runBlock(docBlock('docs/replay.md', 'sh', 'replay resume'), { env });
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.stdout).toContain('interrupted');

    const states = await runBlock(docBlock('docs/replay.md', 'sh', 'replay --secured'), { env });
    expect(states.code, states.stderr).toBe(0);
    expect(states.stdout).toBe('would be published again: 1 live\n1 published again\n');
    expect(await readAll(world.topics.secured)).toHaveLength(2);
  }, 180_000);
});
