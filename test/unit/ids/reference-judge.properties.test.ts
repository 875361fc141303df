import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createSecretIdBuilder, judgeReference } from '../../../src/ids/index.js';

const ACCOUNT = '123456789012';
const SUFFIX = '-AbCdEf';
const CANARY = 'CANARY';

type Lookup = (name: string) => string | undefined;

/** Secrets Manager: by name, or by ARN with or without the six characters behind the name. */
function secretsManager(values: ReadonlyMap<string, string>): Lookup {
  return (asked) => {
    const arn = /^arn:(?:aws|aws-cn|aws-us-gov):secretsmanager:[a-z0-9-]+:\d{12}:secret:(.+)$/.exec(
      asked,
    )?.[1];
    if (arn === undefined) return values.get(asked);
    const name = arn.endsWith(SUFFIX) ? arn.slice(0, -SUFFIX.length) : arn;
    return values.get(name);
  };
}

/** Parameter Store: by name or ARN, with a version or label; secrets of Secrets Manager through a path of its own. */
function parameterStore(values: ReadonlyMap<string, string>): Lookup {
  const secret = secretsManager(values);
  return (asked) => {
    const named = asked.replace(/^arn:aws[a-z-]*:ssm:[a-z0-9-]+:\d{12}:parameter/, '');
    const through = /^\/+aws\/+reference\/+secretsmanager\/(.+)$/i.exec(named)?.[1];
    if (through !== undefined) return secret(through) ?? secret(through.replace(/:[^:/]*$/, ''));
    return values.get(named) ?? values.get(named.replace(/:[^:/]*$/, ''));
  };
}

/** Stores behind HTTP that are lenient: percent signs, dots, doubled slashes, capitals, white space. */
function lenient(values: ReadonlyMap<string, string>): Lookup {
  return (asked) => {
    const levels: string[] = [];
    const text = decode(asked).normalize('NFKC').toLowerCase().replace(/\s/g, '');
    for (const level of text.split('/').filter((one) => one !== '' && one !== '.')) {
      if (level === '..') levels.pop();
      else levels.push(level);
    }
    return values.get(`/${levels.join('/')}`);
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What readers ask their store for, given a field of a secured event; null: they take it for a value. */
const READERS: readonly ((field: string) => string | null)[] = [
  // Our ingestion library.
  (field) => /^secrets?:(.+)$/s.exec(field)?.[1] ?? null,
  // OpenMetadata's Python: a text that begins with it loses every one, in one pass from the left.
  (field) => (field.startsWith('secret:') ? field.replaceAll('secret:', '') : null),
  // Readers of other versions and makers: the first one only; every one of both words; until none is left.
  (field) => (field.startsWith('secret:') ? field.slice('secret:'.length) : null),
  (field) => (/^secrets?:/.test(field) ? field.replace(/secrets?:/gi, '') : null),
  (field) => {
    let text = field;
    while (/secrets?:/i.test(text)) text = text.replace(/secrets?:/i, '');
    return text.trim();
  },
];

const builder = createSecretIdBuilder({
  idStyle: 'slash',
  strict: false,
  prefix: '',
  cluster: 'openmetadata',
  maxIdLength: 512,
  formerPrefixes: ['/former/', '/team/old/'],
});

/** What the victim keeps, under the present and former prefixes, and shared ids that only the database tells. */
const VICTIMS = [
  builder.build('database', 'Prod DB', ['authType', 'password']),
  builder.build('bot', 'ingestion-bot', ['config', 'JWTToken']),
  builder.build('mcp', 'fin/authtype', ['servers', '0', 'apiKey']),
  '/former/database/prod_db/password',
  '/team/old/pipeline/dbt/token',
  '/elsewhere/taken/over',
];
const OTHERS: ReadonlySet<string> = new Set(VICTIMS);
const VALUES = new Map(VICTIMS.map((id) => [id, CANARY]));
const STORES = [secretsManager(VALUES), parameterStore(VALUES), lenient(VALUES)];

type Twist = (text: string, at: number) => string;
const insert =
  (part: string): Twist =>
  (text, at) =>
    text.slice(0, at % (text.length + 1)) + part + text.slice(at % (text.length + 1));
const arn =
  (partition: string): Twist =>
  (text) =>
    `arn:${partition}:secretsmanager:eu-west-1:${ACCOUNT}:secret:${text}`;
const TWISTS: readonly Twist[] = [
  ...[
    'secret:',
    'secrets:',
    'SECRET:',
    'sesecret:cret:',
    '/',
    '//',
    '/./',
    '/x/../',
    ':',
    ' ',
    '%2f',
    '\u200b',
  ].map(insert),
  ...['aws', 'aws-cn', 'aws-us-gov'].map(arn),
  (text) => `arn:aws:ssm:eu-west-1:${ACCOUNT}:parameter${text}`,
  (text) => `/aws/reference/secretsmanager${text}`,
  (text) => `/aws/reference/secretsmanager/${text}`,
  (text) => `//aws/reference//secretsmanager/${text}`,
  (text) => `/allowed/..${text}`,
  (text) => `secret:${text}`,
  (text) => text + SUFFIX,
  (text, at) => `${text}:${at}`,
  (text) => `${text}:AWSCURRENT`,
  (text) => text.toUpperCase(),
  (text) => text.replace(/^\//, ''),
  (text) => encodeURIComponent(text),
  (text, at) => text.replace(text[at % text.length] ?? 'a', (one) => `%${one.charCodeAt(0).toString(16)}`),
  (text) => text.replace('e', '\uff45'),
];

const twisted = fc
  .tuple(
    fc.constantFrom(...VICTIMS),
    fc.array(fc.tuple(fc.constantFrom(...TWISTS), fc.nat(60)), { maxLength: 4 }),
  )
  .map(([id, twists]) => twists.reduce((text, [twist, at]) => twist(text, at), id));
const pieced = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'secret:',
        'se',
        'cret:',
        '/',
        'open',
        'metadata',
        'arn:aws:',
        'database',
        '..',
        ':',
        'former',
      ),
      fc.constantFrom(...VICTIMS),
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((parts) => parts.join(''));

it('no reference that passes opens what another connection keeps, for any reader and store', () => {
  const seen = { opens: 0, passes: 0, refused: 0 };
  const rules = { ownPrefixes: builder.ownPrefixes };
  const holders = { isOwn: (id: string) => id === '/mine', isOthers: (id: string) => OTHERS.has(id) };
  const allowed = fc.constantFrom<readonly string[]>([], ['/'], ['/openmetadata/', 'arn:'], ['/allowed/']);
  const reference = fc.oneof(
    { weight: 4, arbitrary: twisted },
    pieced,
    fc.string({ unit: 'binary', maxLength: 30 }),
  );
  fc.assert(
    fc.property(reference, allowed, (id, allowedPrefixes) => {
      const verdict = judgeReference(id, holders, { ...rules, allowedPrefixes });
      const opened = READERS.some((read) => {
        const name = read(`secret:${id}`);
        return name !== null && STORES.some((look) => look(name) === CANARY);
      });
      if (opened) seen.opens += 1;
      if (verdict !== 'external') seen.refused += 1;
      else {
        seen.passes += 1;
        if (opened) throw new Error(`${JSON.stringify(id)} passes, and opens another connection's secret`);
      }
    }),
    { numRuns: 100_000 },
  );
  // Else it would hold for want of attacks, or because nothing passes.
  expect(seen.opens).toBeGreaterThan(10_000);
  expect(seen.passes).toBeGreaterThan(1_000);
}, 120_000);
