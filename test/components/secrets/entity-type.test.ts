import { describe, expect, it } from 'vitest';
import type { Json, JsonObject, SourceRecord } from '../../../src/terms.js';
import {
  changeEvent,
  CONNECTION,
  deletion,
  eventRecord,
  MASKED,
  PASSWORD_ID,
  sourceRecord,
} from '../pipeline/events.js';
import { configOf } from '../pipeline/sent-event.js';
import { Bench } from './fixture.js';

/** The same entity id, as something else. */
function as(entityType: string, at: number, config: Record<string, Json>, eventType?: string): SourceRecord {
  const change = changeEvent({ at, config, ...(eventType === undefined ? {} : { eventType }) });
  const entity = change['entity'] as JsonObject;
  return sourceRecord({ ...change, entityType, entity: { ...entity, isBot: true } });
}

async function withPassword(): Promise<Bench> {
  const bench = await Bench.open();
  await bench.handle(eventRecord({ password: 'MARK-a', at: 10 }));
  return bench;
}

async function expectRefused(bench: Bench): Promise<void> {
  expect(bench.last).toMatchObject({ outcome: 'refused', code: 'ENTITY_TYPE_CHANGED' });
  expect((await bench.audit()).at(-1)).toMatchObject({
    action: 'refuse',
    actor: 'admin',
    detail: 'ENTITY_TYPE_CHANGED',
  });
}

describe('the same entity id with another entity type', () => {
  it.each(['messagingService', 'user', 'ingestionPipeline', 'workflow'])(
    'is refused as %s: the secret does not follow',
    async (entityType) => {
      const bench = await withPassword();
      await bench.handle(as(entityType, 20, { password: MASKED, hostPort: 'evil.example' }));
      await expectRefused(bench);
      expect(configOf(bench.sent(CONNECTION))['password']).toBe(`secret:${PASSWORD_ID}`);
      expect(configOf(bench.sent(CONNECTION))['hostPort']).toBeUndefined();
      expect(bench.sent(CONNECTION)?.entityType).toBe('databaseService');
    },
  );

  it('is refused as a deletion: the secret stays', async () => {
    const bench = await withPassword();
    await bench.handle(as('messagingService', 20, {}, 'entityDeleted'));
    await expectRefused(bench);
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live' });
  });

  it('is refused after the deletion: the id was somebody’s', async () => {
    const bench = await withPassword();
    await bench.handle(deletion(20));
    await bench.handle(as('messagingService', 30, { password: 'MARK-b' }));
    await expectRefused(bench);
    expect(bench.sent(CONNECTION)?.operation).toBe('deleted');
  });

  it('is refused although it is older: it sets nothing of this connection', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', at: 10 }));
    await bench.handle(eventRecord({ password: MASKED, at: 30 }));
    await bench.handle(as('messagingService', 20, { password: 'MARK-b' }));
    await expectRefused(bench);
    expect(await bench.valueOf(PASSWORD_ID)).toBe('MARK-a');
  });

  it('goes on where only the case of the letters differs', async () => {
    const bench = await withPassword();
    await bench.handle(as('DatabaseService', 20, { password: MASKED }));
    expect(bench.last?.outcome).toBe('applied');
  });
});
