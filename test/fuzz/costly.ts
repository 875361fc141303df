import { LIMITS } from '../../src/limits.js';
import type { Random } from './random.js';

/** A record that is made to cost much. */
export interface Costly {
  readonly what: string;
  readonly value: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** The state that its connection has: the value of a record that is applied before. */
  readonly before?: Buffer;
}

const FIELDS = LIMITS.secretFields - 5;
const VALUES = LIMITS.jsonValues - 50;
const ROOM = LIMITS.recordBytes - 4_096;
/** What our rules for texts look for, and what keeps them looking. */
const PIECES = [
  ...[
    'a',
    '0',
    ' ',
    '\n',
    '*',
    'x',
    '=',
    ':',
    '@',
    '/',
    '.',
    '-',
    '_',
    ',',
    ';',
    '|',
    '<',
    '{',
    '[',
    "'",
    '"',
  ],
  ...['://', 'a://b:c', 'https://aaaaaaaaaaaaaaaaaaaa', 'a:b@', 'a:@tcp(', 'u/p@h:1', 'jdbc:oracle:thin:a/'],
  ...['password=', 'password: ', 'usePassword=true ', ':=', '=>', "password='", '"a":', 'pwd=***', 'a='],
  ...['%41', '&quot;', '\\u0041', 'ew', 'AA==', '<a b', '<name>a', '<password>', '--password ', '-p ', ' -p'],
  ...[
    'h:1:d:u:',
    'login password ',
    'identified by ',
    "by '",
    'mysql -',
    'echo | ',
    'Bearer ',
    '(DESCRIPTION',
  ],
  ...['-eyJaaaaaaaaaa', 'eyJ', '$6$', '-SG.', 'MIIBA', 'sk-', '-----BEGIN ', 'fernet:', 'secret:', '{{'],
  ...['é', '\u0301', '🔥', 'ﷺ', 'K', '\u200b'],
  // Words of a line that are tried against each other: as long as one line is looked at.
  `htpasswd -${'b'.repeat(1_900)}\n`,
  `net ${'-U'.repeat(900)}\n`,
  `password: ${'a'.repeat(100)} z z `,
  `echo a|${'-'.repeat(1_900)}\n`,
  `${'a'.repeat(14)}:${'@a'.repeat(2_000)} `,
];

const filled = (piece: string, bytes: number): string =>
  piece.repeat(Math.max(1, Math.floor(bytes / Buffer.byteLength(JSON.stringify(piece).slice(1, -1)))));

/** An event as text: members of its connection's configuration, of the entity and of the event. */
function event(config: string, { entity = '', change = '', timestamp = 1_790_000_500_000 } = {}): string {
  return (
    `{"id":"e${timestamp}","eventType":"entityUpdated","entityType":"databaseService","entityId":"c",` +
    `"timestamp":${timestamp}${change},"entity":{"id":"c","name":"n","version":1,"serviceType":"Mysql"${entity},` +
    `"connection":{"config":{"type":"Mysql"${config}}}}}`
  );
}

const members = (count: number, member: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => `,${member(index)}`).join('');
const OLDER = 1_790_000_400_000;

/** By name; each made anew when it is asked for. */
const SHAPES: Readonly<Record<string, () => Omit<Costly, 'what' | 'value'> & { readonly text: string }>> = {
  'one value, all of the record': () => ({ text: event(`,"password":"${'p'.repeat(ROOM)}"`) }),
  'no JSON': () => ({ text: '\\'.repeat(ROOM) }),
  zeros: () => ({ text: '\0'.repeat(ROOM) }),
  'more than a batch may have': () => ({ text: 'a'.repeat(LIMITS.batchBytes + 1) }),
  'more than a record may have': () => ({ text: 'a'.repeat(LIMITS.batchBytes - 4_096) }),
  'deeper than the limit': () => ({ text: '['.repeat(ROOM) }),
  'as deep as the limit': () => ({
    text: event(`,"x":${'{"password":'.repeat(190)}"${'é'.repeat(ROOM / 2 - 4_096)}"${'}'.repeat(190)}`),
  }),
  'as wide as the limit': () => ({
    text: event(`,"x":[${members(VALUES, () => '""').slice(1)}]`),
  }),
  'as many objects as the limit': () => ({
    text: event(`,"x":[${members(VALUES, () => '{}').slice(1)}]`),
  }),
  'as many keys as the limit': () => ({ text: event(members(VALUES, (at) => `"k${at}":0`)) }),
  'the same key again and again': () => ({ text: event(members(VALUES, () => '"k":0')) }),
  'keys that only escapes tell apart': () => ({
    text: event(members(VALUES, (at) => `"\\u006b\\u00e9${at}":0`)),
  }),
  'a number of megabytes': () => ({ text: event(`,"x":0.${'0'.repeat(ROOM / 2)}1`) }),
  'many numbers that are not exact': () => ({
    text: event(members(VALUES, (at) => `"k${at}":1234567890123456789e9`)),
  }),
  escapes: () => ({ text: event(`,"x":"${'\\u0022'.repeat(ROOM / 6 - 100)}"`) }),
  'escaped quotes': () => ({ text: event(`,"x":"${'\\"'.repeat(ROOM / 2 - 300)}"`) }),
  'half surrogates': () => ({ text: event(`,"x":"${'\\ud800'.repeat(ROOM / 6 - 100)}"`) }),
  'an entity in a text': () => ({
    text: JSON.stringify({
      ...(JSON.parse(event('')) as object),
      entity: JSON.stringify({ id: 'c', name: 'n', description: '"\\'.repeat(ROOM / 8) }),
    }),
  }),
  'base64 in base64': () => {
    const wrap = (text: string): string => Buffer.from(text).toString('base64');
    return { text: event(`,"x":"${wrap(wrap(wrap(filled('{"a":"b"}', ROOM * 0.4))))}"`) };
  },
  'JSON in JSON': () => {
    const wrap = (text: string): string => JSON.stringify({ a: text, b: [text.length] });
    return { text: event(`,"x":${JSON.stringify(wrap(wrap(wrap('y '.repeat(ROOM / 2 - 9_000)))))}`) };
  },
  'as many secret fields as the limit': () => ({
    text: event(`,"x":{${members(FIELDS, (at) => `"p${at}password":"s${at}x"`).slice(1)}}`),
  }),
  'secret fields below a key of megabytes': () => ({
    text: event(`,"${'k'.repeat(ROOM / 2)}":{${members(FIELDS, (at) => `"p${at}password":"s"`).slice(1)}}`),
  }),
  'secret fields below many long keys': () => ({
    text: event(
      `${Array.from({ length: 190 }, (_, at) => `,"${String(at).repeat(900)}":{"z":0`).join('')}${members(
        FIELDS,
        (at) => `"p${at}password":"s"`,
      )}${'}'.repeat(190)}`,
    ),
  }),
  'secret fields in lists, by names': () => ({
    text: event(`,"x":[${members(FIELDS, (at) => `{"name":"n${at}","password":"secret${at}"}`).slice(1)}]`),
  }),
  'secret fields in lists, by place': () => ({
    text: event(`,"x":[${members(FIELDS, (at) => `[{"password":"secret${at}"}]`).slice(1)}]`),
  }),
  'more secret fields than the limit': () => ({
    text: event(members(VALUES, (at) => `"p${at}password":"s"`)),
  }),
  references: () => ({ text: event(members(FIELDS, (at) => `"p${at}password":"secret:/team/x${at}"`)) }),
  'references in plain texts': () => ({
    text: event(members(VALUES, (at) => `"p${at}":"secret:/team/x${at}"`)),
  }),
  'sealed values that no key opens': () => ({
    text: event(members(FIELDS, (at) => `"p${at}password":"fernet:gAAAAA${'A'.repeat(94)}${at}"`)),
  }),
  'secrets that are quoted everywhere': () => ({
    text: event(
      members(1_000, (at) => `"p${at}password":"${'q'.repeat(20)}${at}"`),
      {
        entity: `,"description":"${'q'.repeat(ROOM - 50_000)}"`,
      },
    ),
  }),
  'secrets of which none is like another': () => ({
    text: event(members(FIELDS, (at) => `"p${at}password":"${noise(at, 90)}"`)),
  }),
  'beside a large stored entity: the same, newer': () => beside(1_790_000_500_001),
  'beside a large stored entity: the same, older': () => beside(OLDER),
  'beside a large stored entity: other secret fields, older': () => {
    const { before } = beside(OLDER);
    const text = event(
      members(FIELDS, (at) => `"q${at}password":"s${at}"`),
      { timestamp: OLDER },
    );
    return { text, before };
  },
  'beside a large stored entity: masks': () => {
    const { before } = beside(OLDER);
    return {
      text: event(
        members(FIELDS, (at) => `"p${at}password":"*********"`),
        { timestamp: 1_790_000_500_001 },
      ),
      before,
    };
  },
  headers: () => ({
    text: event(''),
    headers: Object.fromEntries(
      Array.from({ length: LIMITS.recordHeaders }, (_, at) => [`ce_${at}`, 'h'.repeat(ROOM / 1_100)]),
    ),
  }),
  'the longest names': () => ({
    text: event(members(FIELDS, (at) => `"${'n'.repeat(300)}${at}password":"s${at}"`)).replace(
      '"name":"n"',
      `"name":"${'é'.repeat(500)}"`,
    ),
  }),
};

function beside(timestamp: number): { readonly text: string; readonly before: Buffer } {
  const config = members(FIELDS, (at) => `"p${at}password":"s${at}"`);
  const large = members(20_000, (at) => `"k${at}":"${'v'.repeat(60)}"`);
  const text = event(config, { entity: `,"extension":{${large.slice(1)}}`, timestamp });
  return { text, before: Buffer.from(event(config, { entity: `,"extension":{${large.slice(1)}}` })) };
}

/** Letters that do not repeat, the same each time. */
function noise(seed: number, length: number): string {
  let state = seed * 2_654_435_761 + 12_345;
  let text = '';
  while (text.length < length) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    text += (state >>> 0).toString(36);
  }
  return text.slice(0, length);
}

export function shapes(): Costly[] {
  return Object.entries(SHAPES).map(([what, make]) => {
    const { text, ...rest } = make();
    return { what, value: Buffer.from(text), ...rest };
  });
}

const PLACES = {
  'a plain value': (text: string) => event(`,"hostPort":${text}`),
  'a secret value': (text: string) => event(`,"password":${text}`),
  'a text for people': (text: string) => event('', { entity: `,"description":${text}` }),
  'a key': (text: string) => event(`,${text}:"x"`),
  'its id': (text: string) => event('', { change: `,"userName":${text}` }),
} as const;

/** One piece of a text again and again, with another in front and behind, in each place where we look. */
export function repeated(random: Random, number: number): Costly {
  const piece =
    number < PIECES.length ? (PIECES[number] as string) : random.pick(PIECES) + random.pick(PIECES);
  const places = Object.keys(PLACES) as (keyof typeof PLACES)[];
  const place = number < PIECES.length ? 'a plain value' : random.pick(places);
  const [before, behind] = [random.pick(PIECES), random.pick(PIECES)];
  const room = ROOM - Buffer.byteLength(JSON.stringify(before + behind)) - 1_000;
  const text = number < PIECES.length ? filled(piece, room) : before + filled(piece, room) + behind;
  return {
    what: `${JSON.stringify(piece.slice(0, 40))} again and again in ${place}`,
    value: Buffer.from(PLACES[place](JSON.stringify(text))),
  };
}

export const PIECE_COUNT = PIECES.length;
