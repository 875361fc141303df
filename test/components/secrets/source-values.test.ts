import { describe, expect, it } from 'vitest';
import { KeyRing, sealText } from '../../../src/fernet/index.js';
import type { Json } from '../../../src/terms.js';
import { deletion, eventRecord, MASKED, PASSWORD_ID, PASSWORD_PATH } from '../pipeline/events.js';
import { Bench } from './fixture.js';

const PUBLISHER = 'QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=';
const SEALED = { SOURCE_VALUES: 'sealed', PUBLISHER_FERNET_KEY: PUBLISHER, PUBLISHER_TOKENS: 'any' };
const sealed = (text: string): string => sealText(KeyRing.parse('PUBLISHER_FERNET_KEY', PUBLISHER), text);
const keyed = (value: Json) => ({ connectionOptions: { api_key: value } });

describe('SOURCE_VALUES=sealed', () => {
  it.each<[string, Record<string, Json>, string]>([
    ['in a declared field', { password: 'MARK-a' }, PASSWORD_PATH],
    ['found by its name', keyed('MARK-a'), '/connection/config/connectionOptions/api_key'],
    ['found by its text', { hostPort: 'ftp://u:MARK-aa@h' }, '/connection/config/hostPort'],
  ])('refuses a value in the clear, %s, and names the field', async (_, config, path) => {
    const bench = await Bench.open(SEALED);
    await bench.handle(eventRecord({ config, eventId: 'e1' }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'VALUE_NOT_SEALED', writes: 0 });
    expect((await bench.audit()).at(-1)).toMatchObject({ action: 'refuse', path, event_id: 'e1' });
    await bench.expectNowhereElse('MARK-');
  });

  it.each<[string, Json]>([
    ['a key', 'MARK-a'],
    ['a number under a password’s key', { password: 12_345_678 }],
  ])('refuses what SECRET_BY_NAME=report would leave in the clear: %s', async (_, value) => {
    const bench = await Bench.open({ ...SEALED, SECRET_BY_NAME: 'report' });
    await bench.handle(eventRecord({ config: keyed(value) }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'VALUE_NOT_SEALED' });
  });

  it('takes what is sealed; then masks, references, empty fields, and deletions', async () => {
    const bench = await Bench.open(SEALED);
    await bench.handle(eventRecord({ password: sealed('MARK-a'), at: 1 }));
    expect(await bench.valueOf(PASSWORD_ID)).toBe('MARK-a');
    const later: Json[] = [MASKED, `secret:${PASSWORD_ID}`, 'secret:/team/x', '', null];
    for (const [step, password] of later.entries()) {
      await bench.handle(eventRecord({ password, at: 2 + step }));
      expect(bench.last).toMatchObject({ outcome: 'applied', code: null });
    }
    await bench.handle(deletion(20, { password: 'MARK-b' }));
    expect(bench.last).toMatchObject({ outcome: 'applied' });
  });

  it('any (default): takes both', async () => {
    const bench = await Bench.open({ PUBLISHER_FERNET_KEY: PUBLISHER, PUBLISHER_TOKENS: 'any' });
    await bench.handle(eventRecord({ password: 'MARK-a', config: keyed(sealed('MARK-b')) }));
    expect(bench.last).toMatchObject({ outcome: 'applied' });
  });
});
