import type { Json } from '../../src/terms.js';
import type { Random } from './random.js';
import { CANARY } from './samples.js';

/** Keys that somebody's code takes for something else. */
const KEYS = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '',
  ' ',
  'a/b~c',
  '0',
  '-1',
  'length',
  'x'.repeat(512),
  'схема',
  '\u202epassword',
  '🔑',
  'p\u0000q',
  'password',
  'Password',
  'api_key',
  'awsSessionToken',
  'changeDescription',
  'config',
  'connection',
  'entity',
  'type',
  'name',
  'servers',
];

const TEXTS = [
  '',
  ' ',
  '*********',
  '********',
  'null',
  'undefined',
  'secret:',
  'secret:/team/x',
  'secrets:/openmetadata/database/other/password',
  'secret:/openmetadata/database/mysql-test/password',
  'fernet:',
  'fernet:gAAAAA',
  'Mysql',
  'CustomDatabase',
  'entityDeleted',
  'databaseService',
  'ingestionPipeline',
  'user',
  'workflow',
  'p\u0000q',
  '\ufeffx',
  '\u202eevil',
  '👩‍👩‍👧‍👦',
  '{{x}}',
  '${jndi:ldap://x}',
  "'; DROP TABLE connection; --",
  'x'.repeat(513),
  'y'.repeat(4_096),
  '-----BEGIN PRIVATE KEY-----',
];

const NUMBERS = [0, -0, 1, -1, 0.1, 1e21, 1e-7, 1e308, 2 ** 53 - 1, 1_790_000_900_000, 9_000_000_000_000];

export function anyKey(random: Random): string {
  return random.pick(KEYS);
}

/** Anything in place of a value, now and then something with a canary, long or deep. */
export function anyValue(random: Random, depth = 0): Json {
  switch (random.below(depth > 3 ? 6 : 12)) {
    case 0:
      return null;
    case 1:
      return random.chance(2);
    case 2:
      return random.pick(NUMBERS);
    case 3:
    case 4:
      return random.pick(TEXTS);
    case 5:
      return aCanary(random);
    case 6:
      return `mysql://u:${aCanary(random)}@host:3306/db`;
    case 7:
      return JSON.stringify(anyValue(random, depth + 1));
    case 8:
    case 9:
      return Array.from({ length: random.below(4) }, () => anyValue(random, depth + 1));
    default:
      return Object.fromEntries(
        Array.from({ length: random.below(4) }, () => [anyKey(random), anyValue(random, depth + 1)]),
      );
  }
}

/** Rare, for they are expensive: what is long, wide or deep. */
export function hugeValue(random: Random): Json {
  switch (random.below(5)) {
    case 0:
      return aCanary(random) + 'z'.repeat(65_536);
    case 1:
      return Array.from({ length: 300 }, (_, index) => ({
        name: `n${index % 150}`,
        apiKey: aCanary(random),
      }));
    case 2:
      return nested(random.pick([50, 195, 201, 400]), aCanary(random));
    case 3:
      return Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`key${index}`, index]));
    default:
      return 'é'.repeat(20_000);
  }
}

export function aCanary(random: Random): string {
  return (
    CANARY +
    random
      .below(2 ** 31)
      .toString(36)
      .padStart(6, '0')
  );
}

function nested(levels: number, inner: Json): Json {
  let value: Json = inner;
  for (let level = 0; level < levels; level += 1) value = level % 2 === 0 ? [value] : { password: value };
  return value;
}
