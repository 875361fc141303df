import { describe, expect, it } from 'vitest';
import { generateKey, KeyRing, sealText } from '../../src/fernet/index.js';
import { packRecord } from '../../src/events/dead-letter.js';
import { decodeSecuredEvent } from '../../src/events/decode-secured.js';
import { openReference } from '../../src/ingestion/open-reference.js';
import type { PlanContext } from '../../src/pipeline/context.js';
import type { JsonObject, SourceRecord } from '../../src/terms.js';
import { sealedFor } from '../harness/sealed-for.js';
import { FUZZ_KEYS, fuzzContexts } from './contexts.js';
import { PureWorker } from './pure-worker.js';
import { Random } from './random.js';
import { FACTOR, SEED } from './run.js';
import { NOW_MS, TOPICS } from './samples.js';

const CASES = 100_000 * FACTOR;
/** Stands in every value that is the victims'. */
const LOOT = 'lootzq';
const CLUSTER = '/openmetadata/database';

/** Names that are written like each other in ids, and one that lies below another. */
const VICTIMS = ['mysql-test', 'prod_db', 'fin', 'fin/authtype', 'Prod DB 2'];
const NAMES = [
  ...VICTIMS,
  ...VICTIMS.map((name) => name.toUpperCase()),
  'PROD DB',
  'prod-db',
  'prod.db',
  'fin/AuthType',
  '/fin',
  'fin/',
  'fin//authtype',
  'mysql_test',
  'mysql-test/password',
  '../database/fin',
  'thief',
];
const FIELDS = ['password', 'authType/password', 'authtype/password', 'apiKey', 'options/token'];

interface Attack {
  readonly context: PlanContext;
  readonly worker: PureWorker;
  /** What lies about where a thief may look: topics, dead letters, rows. */
  readonly found: readonly string[];
}

function event(id: string, name: string, config: JsonObject, timestamp: number): SourceRecord {
  const change = {
    id: `${id}-${timestamp}`,
    eventType: 'entityUpdated',
    entityType: 'databaseService',
    entityId: id,
    timestamp,
    entity: { id, name, serviceType: 'Mysql', connection: { config: { type: 'Mysql', ...config } } },
  };
  return {
    topic: TOPICS.updated,
    partition: 0,
    offset: timestamp % 1_000_000,
    key: null,
    value: Buffer.from(JSON.stringify(change)),
    headers: {},
    timestampMs: timestamp,
  };
}

const victimsEvent = (index: number): SourceRecord =>
  event(
    `victim-${index}`,
    VICTIMS[index] ?? '',
    {
      password: `${LOOT}-password-${index}`,
      authType: { password: `${LOOT}-nested-${index}` },
      apiKey: `${LOOT}-key-${index}`,
      url: `mysql://u:${LOOT}-url-${index}@h/db`,
    },
    NOW_MS - 7_200_000 + index,
  );

/** The victims' state, and every token and reference that somebody could copy. */
function prepared(context: PlanContext): Attack {
  const worker = new PureWorker(context);
  const found: string[] = [];
  for (const index of VICTIMS.keys()) {
    const record = victimsEvent(index);
    const { emitted } = worker.handle(record);
    found.push(...emitted.flatMap((one) => JSON.stringify(one?.value?.toString()).match(TOKENS) ?? []));
    found.push(`fernet:${context.rings.deadLetter.seal(packRecord(record).toString())}`);
    found.push(sealedFor(FUZZ_KEYS.PUBLISHER_FERNET_KEY, `victim-${index}`, `${LOOT}-sealed-${index}`));
  }
  for (const text of worker.sealedTexts()) found.push(text);
  return { context, worker, found: [...new Set(found)] };
}

const TOKENS = /(?:secret:[^"\\]+|fernet:[\w=-]+)/g;

/** Ways of writing a name that some reader takes for another one. */
function spelt(text: string, random: Random): string {
  switch (random.below(14)) {
    case 0:
      return `secret:${text}`;
    case 1: {
      const cut = random.below(text.length);
      return `${text.slice(0, cut)}${random.pick(['secret:', 'secrets:', 'SECRET:', 'secresecret:t:'])}${text.slice(cut)}`;
    }
    case 2:
      return `arn:aws:secretsmanager:eu-west-1:123456789012:secret:${text}${random.pick(['', '-AbCdEf'])}`;
    case 3:
      return `arn:aws:ssm:eu-west-1:123456789012:parameter${text}`;
    case 4:
      return `/aws/reference/secretsmanager/${text}`;
    case 5:
      return text.toUpperCase();
    case 6:
      return text.replaceAll('/', '//');
    case 7:
      return text.replace('/', random.pick(['/./', '/x/../', '%2F', '\\']));
    case 8:
      return `${text}${random.pick(['/', ':1', ':AWSCURRENT', '#x', ' ', '\n', '\u0000', '?a'])}`;
    case 9:
      return `${random.pick([' ', '\u200b', '/', './', '..'])}${text}`;
    case 10:
      return text.normalize('NFKD').replace('a', 'а');
    default:
      return text;
  }
}

/** What a thief puts into a field of his own. */
function bait(random: Random, found: readonly string[]): string {
  const name = random
    .pick(NAMES)
    .toLowerCase()
    .replaceAll(/[^a-z0-9/]/g, '_');
  const id = `${CLUSTER}/${name}/${random.pick(FIELDS).toLowerCase()}`;
  switch (random.below(12)) {
    case 0:
      return '*********';
    case 1:
    case 2:
    case 3:
      return `thiefs-own-${random.below(2)}`;
    case 4:
      return `mysql://u:${random.pick(found)}@h/db`;
    case 5: {
      const token = random.pick(found);
      return sealText(PUBLISHERS, random.chance(2) ? token : `csw1:{"connectionId":"thief"`);
    }
    case 6:
    case 7:
      return random.pick(found);
    default:
      return `${random.pick(['secret:', 'secret:', 'secrets:', 'SECRET:', ''])}${spelt(spelt(id, random), random)}`;
  }
}

const PUBLISHERS = KeyRing.parse('PUBLISHER_FERNET_KEY', FUZZ_KEYS.PUBLISHER_FERNET_KEY);
const INGESTION = KeyRing.parse('INGESTION_FERNET_KEY', FUZZ_KEYS.INGESTION_FERNET_KEY);

/** Every text of a secured entity, as a reader of ours and OpenMetadata's Python reader resolve it. */
function resolved(entity: JsonObject | null, store: (asked: string) => string | undefined): string[] {
  const values: string[] = [];
  const walk = (value: unknown): void => {
    if (typeof value === 'string') values.push(value, ...ours(value, store), ...pythons(value, store));
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(walk);
  };
  walk(entity);
  return values;
}

function ours(text: string, store: (asked: string) => string | undefined): string[] {
  try {
    const opened = openReference(text, INGESTION);
    if (opened.kind === 'value') return [opened.value.reveal()];
    return [store(opened.reference.slice('secret:'.length)) ?? ''];
  } catch {
    return [];
  }
}

/** It opens a token with its key, and removes every `secret:` of a text that begins with one. */
function pythons(text: string, store: (asked: string) => string | undefined): string[] {
  let plain = text;
  if (text.startsWith('fernet:'))
    try {
      plain = INGESTION.open(text.slice('fernet:'.length));
    } catch {
      return [];
    }
  return plain.startsWith('secret:') ? [plain, store(plain.replaceAll('secret:', '')) ?? ''] : [plain];
}

function thiefsEvent(random: Random, found: readonly string[], timestamp: number): SourceRecord {
  const config: JsonObject = {
    hostPort: 'evil.example:3306',
    username: random.chance(4) ? bait(random, found) : 'thief',
  };
  for (let fields = 1 + random.below(2); fields > 0; fields -= 1)
    switch (random.below(4)) {
      case 0:
        config['authType'] = { password: bait(random, found) };
        break;
      case 1:
        config['connectionOptions'] = { [random.pick(['token', 'plain', 'url'])]: bait(random, found) };
        break;
      default:
        config[random.pick(['password', 'apiKey', 'url', 'note'])] = bait(random, found);
    }
  return event('thief', random.pick(NAMES), config, timestamp);
}

describe('a thief who may create a connection and read every topic and row', () => {
  const contexts = fuzzContexts({ publisherTokens: 'bound' });
  const attacks = [
    ...contexts,
    ...contexts.map((context) => ({ ...context, rules: { ...context.rules, adopt: true } })),
  ].map(prepared);

  it(
    `${CASES} events: no reader of his secured events gets a victim's value, whoever came first`,
    { timeout: 300_000 * Math.max(1, FACTOR) },
    () => {
      const counts = new Map<string, number>();
      const note = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
      const { stackTraceLimit } = Error;
      // Most of the time would go into the stacks of refusals.
      Error.stackTraceLimit = 2;
      for (let number = 0; number < CASES; number += 2) {
        const random = new Random(SEED + number * 7_919);
        const { context, worker, found } = random.pick(attacks);
        // In every second case the victims come after him.
        const isFirst = random.chance(2);
        const here = isFirst ? new PureWorker(context) : worker.copy();
        const emitted = [];
        for (const step of [1, 2]) {
          const result = here.handle(thiefsEvent(random, found, NOW_MS - 3_600_000 + step));
          note(result.outcome);
          emitted.push(...result.emitted);
        }
        if (isFirst) note(`victim ${here.handle(victimsEvent(random.below(VICTIMS.length))).outcome}`);
        for (const record of emitted) {
          const secured = record === null ? null : decodeSecuredEvent(record);
          if (secured?.connectionId !== 'thief') continue;
          const loot = resolved(secured.entity, (asked) => here.lookUp(asked)).find((text) =>
            text.includes(LOOT),
          );
          if (loot !== undefined)
            throw new Error(
              `case ${number} of TEST_SEED=${SEED}: ${loot} by ${JSON.stringify(secured.entity)}`,
            );
        }
      }
      Error.stackTraceLimit = stackTraceLimit;
      console.log(`thief: ${CASES} events, TEST_SEED=${SEED}`, Object.fromEntries(counts));
      // He is not only refused: what is his own goes through.
      expect(counts.get('applied')).toBeGreaterThan(CASES / 20);
    },
  );
});

it('knows a theft when it sees one: the readers do read', () => {
  const store = (asked: string): string | undefined => (asked === '/a/b' ? LOOT : undefined);
  const texts = ['secret:/a/b', 'secret:/a/secret:b', `fernet:${INGESTION.seal(LOOT)}`, LOOT];
  for (const text of texts) expect(resolved({ text }, store), text).toContain(LOOT);
  expect(resolved({ text: `fernet:${KeyRing.parse('K', generateKey()).seal(LOOT)}` }, store)).not.toContain(
    LOOT,
  );
});
