import { describe, expect, it } from 'vitest';
import type { Json } from '../../../src/terms.js';
import { CONNECTION, eventRecord, MASKED, OTHER, PASSWORD_ID, PASSWORD_PATH } from './events.js';
import { openBench, type BenchWorker } from './fixture.js';
import { referencesOf } from './sent-event.js';

const RENAMED_ID = PASSWORD_ID.replace('mysql-test', 'renamed');

describe('rename', () => {
  it.each([
    ['with the text', 'MARK-a'],
    ['with a mask only', MASKED],
    ['with a reference to the old id', `secret:${PASSWORD_ID}`],
  ])('%s: under the new id, the old one is retired', async (_, password) => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ name: 'renamed', password, at: 2 }));
    expect(await bench.store.valueOf(RENAMED_ID)).toBe('MARK-a');
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'retired', [RENAMED_ID]: 'live' });
    expect(referencesOf(bench.topics.lastOf(CONNECTION))).toEqual({
      [PASSWORD_PATH]: `secret:${RENAMED_ID}`,
    });
    await bench.expectNoLeak();
  });

  it('copies the recorded version, not what somebody else has put there', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    bench.store.arm('late');
    await expect(worker.handle(eventRecord({ password: 'MARK-b', at: 2 }))).rejects.toMatchObject({
      retryable: true,
    });
    await bench.store.land();
    await bench.expireClaims();
    await worker.handle(eventRecord({ name: 'renamed', password: MASKED, at: 3 }));
    expect(await bench.store.valueOf(RENAMED_ID)).toBe('MARK-a');
  });

  it('unchanged after a rename with a mask: the fingerprint goes along', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ name: 'renamed', password: MASKED, at: 2 }));
    await worker.handle(eventRecord({ name: 'renamed', password: 'MARK-a', at: 3 }));
    expect(bench.store.writes).toBe(2);
  });

  it('there and back within the grace', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ name: 'renamed', password: MASKED, at: 2 }));
    await worker.handle(eventRecord({ password: MASKED, at: 3 }));
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live', [RENAMED_ID]: 'retired' });
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-a');
  });

  it('onto the name of another connection: refused, nothing of it is applied', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ id: OTHER, name: 'renamed', password: 'MARK-other', at: 1 }));
    await worker.handle(eventRecord({ name: 'renamed', password: MASKED, at: 2 }));
    expect(worker.last()).toMatchObject({ code: 'SECRET_ID_COLLISION' });
    expect(await bench.store.valueOf(RENAMED_ID)).toBe('MARK-other');
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live', [RENAMED_ID]: 'live' });
  });

  it('an older text after a rename lands under the new name', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ name: 'renamed', password: MASKED, at: 3 }));
    expect(await worker.handle(eventRecord({ password: 'MARK-b', at: 2 }))).toBe('applied');
    expect(await bench.store.valueOf(RENAMED_ID)).toBe('MARK-b');
    expect(bench.topics.lastOf(CONNECTION)).toMatchObject({ name: 'renamed' });
  });
});

describe('collisions', () => {
  it('names both connections, changes nothing, and heals by itself once the id is released', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ name: 'My Svc', password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ id: OTHER, name: 'my_svc', password: 'MARK-b', at: 1 }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'SECRET_ID_COLLISION' });
    const [row] = await bench.query('SELECT detail FROM dead_letter');
    expect(row?.['detail']).toContain(CONNECTION);
    expect(row?.['detail']).toContain(OTHER);
    const secretId = '/openmetadata/database/my_svc/password';
    expect(await bench.store.valueOf(secretId)).toBe('MARK-a');
    // Retired is not yet free: readers of the older event would send one's password to the other's host.
    await worker.handle(eventRecord({ name: 'My Svc', password: null, at: 2 }));
    await bench.makeDue();
    await worker.pipeline.retryKept(new AbortController().signal);
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'SECRET_ID_COLLISION' });
    expect(bench.topics.deadLetters).toHaveLength(1);
    await bench.release(secretId);
    await bench.store.inner.delete(
      [{ reference: `secret:${secretId}`, connectionId: CONNECTION, isCommitted: true }],
      {
        signal: new AbortController().signal,
        admitWrite: () => Promise.resolve(),
      },
    );
    await bench.makeDue();
    await worker.pipeline.retryKept(new AbortController().signal);
    expect(worker.last()).toMatchObject({ outcome: 'applied' });
    expect(await bench.store.valueOf(secretId)).toBe('MARK-b');
    expect(await bench.kept()).toEqual([]);
    await bench.expectNoLeak();
  });

  it('a reference to the field’s own id, which another connection holds, is foreign', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ name: 'My Svc', password: 'MARK-a' }));
    const secretId = '/openmetadata/database/my_svc/password';
    await worker.handle(eventRecord({ id: OTHER, name: 'my_svc', password: `secret:${secretId}` }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'REFERENCE_FOREIGN' });
    const adopting = await bench.worker({
      SECRET_ADOPT: 'true',
      ALLOWED_REFERENCE_PREFIXES: '/openmetadata/x',
    });
    await adopting.handle(eventRecord({ id: OTHER, name: 'my_svc', password: `secret:${secretId}`, at: 2 }));
    expect(adopting.last()).toMatchObject({ outcome: 'refused', code: 'REFERENCE_FOREIGN' });
    expect(bench.topics.securedOf(OTHER)).toEqual([]);
  });

  it('in one and the same transaction: one of the two is refused', async () => {
    const { bench, worker } = await openBench();
    const outcomes = await Promise.all([
      worker.handle(eventRecord({ name: 'My Svc', password: 'MARK-a' })),
      worker.handle(eventRecord({ id: OTHER, name: 'my_svc', password: 'MARK-b' })),
    ]);
    expect(outcomes).toEqual(['applied', 'refused']);
    expect(bench.store.writes).toBe(1);
  });
});

describe('secrets inside arrays', () => {
  const send = (worker: BenchWorker, at: number, servers: Json[], name = 'tools') =>
    worker.handle(eventRecord({ name, serviceType: 'Mcp', at, config: { servers } }));
  const id = (key: string): string => `/openmetadata/mcp/tools/servers/${key}/apikey`;

  it('by name: masks follow their element, whatever its position', async () => {
    const { bench, worker } = await openBench();
    await send(worker, 1, [
      { name: 'search', apiKey: 'MARK-s' },
      { name: 'files', apiKey: 'MARK-f' },
    ]);
    await send(worker, 2, [
      { name: 'files', apiKey: MASKED },
      { name: 'search', apiKey: MASKED },
    ]);
    expect(worker.last()).toMatchObject({ outcome: 'applied' });
    expect(referencesOf(bench.topics.lastOf(CONNECTION))).toEqual({
      '/connection/config/servers/0/apiKey': `secret:${id('files')}`,
      '/connection/config/servers/1/apiKey': `secret:${id('search')}`,
    });
    await send(worker, 3, [{ name: 'search', apiKey: MASKED }]);
    expect(await bench.stored()).toEqual({ [id('files')]: 'retired', [id('search')]: 'live' });
  });

  const plain = [
    { url: 'a', apiKey: 'MARK-0' },
    { url: 'b', apiKey: 'MARK-1' },
  ];

  it('by position: masked while nothing around it moves', async () => {
    const { bench, worker } = await openBench();
    await send(worker, 1, plain);
    expect(Object.keys(await bench.stored())).toEqual([id('0'), id('1')]);
    expect(
      await send(worker, 2, [
        { url: 'a', apiKey: MASKED },
        { url: 'b', apiKey: MASKED },
      ]),
    ).toBe('applied');
    await send(worker, 3, [
      { url: 'a', apiKey: MASKED },
      { url: 'b', apiKey: 'MARK-new' },
    ]);
    expect(worker.last()).toMatchObject({ outcome: 'applied' });
    expect(await bench.store.valueOf(id('0'))).toBe('MARK-0');
    expect(await bench.store.valueOf(id('1'))).toBe('MARK-new');
  });

  it.each<[string, Json[]]>([
    [
      'swapped',
      [
        { url: 'b', apiKey: MASKED },
        { url: 'a', apiKey: MASKED },
      ],
    ],
    ['one removed', [{ url: 'b', apiKey: MASKED }]],
    [
      'another url',
      [
        { url: 'evil', apiKey: MASKED },
        { url: 'b', apiKey: MASKED },
      ],
    ],
  ])('by position, %s: MASK_POSITION_CHANGED, nothing is applied', async (_, servers) => {
    const { bench, worker } = await openBench();
    await send(worker, 1, plain);
    await send(worker, 2, servers);
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'MASK_POSITION_CHANGED' });
    expect(bench.store.writes).toBe(2);
    expect(bench.topics.secured).toHaveLength(1);
  });

  it('by position, one added before: a mask that has no original there waits', async () => {
    const { bench, worker } = await openBench();
    await send(worker, 1, plain);
    const added = [
      { url: 'c', apiKey: 'MARK-2' },
      { url: 'a', apiKey: MASKED },
      { url: 'b', apiKey: MASKED },
    ];
    expect(await send(worker, 2, added)).toBe('waiting');
    expect(bench.store.writes).toBe(2);
  });

  it('by position: setting or clearing a neighbour’s secret moves nothing', async () => {
    const { bench, worker } = await openBench();
    await send(worker, 1, [
      { url: 'a', apiKey: 'MARK-0' },
      { url: 'b', apiKey: null },
    ]);
    expect(
      await send(worker, 2, [
        { url: 'a', apiKey: MASKED },
        { url: 'b', apiKey: 'MARK-1' },
      ]),
    ).toBe('applied');
    expect(
      await send(worker, 3, [
        { url: 'a', apiKey: null },
        { url: 'b', apiKey: MASKED },
      ]),
    ).toBe('applied');
    expect(await send(worker, 4, [{ url: 'a' }, { url: 'b', apiKey: MASKED }])).toBe('applied');
    expect(await bench.stored()).toEqual({ [id('0')]: 'retired', [id('1')]: 'live' });
  });

  it('by position: an older text is not given to an element that has moved meanwhile', async () => {
    const { bench, worker } = await openBench();
    await send(worker, 1, plain);
    await send(worker, 3, [
      { url: 'a', apiKey: MASKED },
      { url: 'b', apiKey: MASKED },
    ]);
    await send(worker, 2, [
      { url: 'b', apiKey: 'MARK-b' },
      { url: 'a', apiKey: 'MARK-a' },
    ]);
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'MASK_POSITION_CHANGED' });
    expect(await bench.store.valueOf(id('0'))).toBe('MARK-0');
    expect(
      await send(worker, 2.5, [
        { url: 'a', apiKey: 'MARK-new' },
        { url: 'b', apiKey: MASKED },
      ]),
    ).toBe('applied');
    expect(await bench.store.valueOf(id('0'))).toBe('MARK-new');
  });

  it('names that look like positions, or twice the same, are no names', async () => {
    const { bench, worker } = await openBench();
    await send(worker, 1, [
      { name: '1', apiKey: 'MARK-0' },
      { name: '0', apiKey: 'MARK-1' },
    ]);
    expect(await bench.store.valueOf(id('0'))).toBe('MARK-0');
    await send(worker, 2, [
      { name: 'x', apiKey: 'MARK-0' },
      { name: 'X', apiKey: 'MARK-1' },
    ]);
    expect(Object.keys(await bench.stored())).toEqual([id('0'), id('1')]);
  });
});
