import { describe, expect, it } from 'vitest';
import type { Json, JsonObject } from '../../../src/terms.js';
import { filled, partOf, readHistory } from '../../unit/catalog/support.js';
import { T0, sourceRecord } from '../pipeline/events.js';
import { Bench } from './fixture.js';

/** In every value below, and in nothing else. */
const MARKER = 'MARK-7c1d';
const PEM = `-----BEGIN PRIVATE KEY-----\n${'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n'.repeat(130)}`.slice(
  0,
  4_000,
);
const FLAVOURS: readonly string[] = [
  `"quotes" 'single' \`back\` \\ backslash`,
  'pässwörd-密码-🔑-\u0301',
  '100% %s %20 ${x}',
  ' first line\r\nlast line \n',
  PEM,
];

interface Subject {
  readonly title: string;
  readonly id: string;
  readonly paths: readonly string[];
  /** The event's entity type, and the entity around the object in which the paths begin. */
  readonly entityType: string;
  readonly entityOf: (fields: JsonObject) => JsonObject;
  /** The segments of the secret ids between the cluster and the field's own path, and where in the path that begins. */
  readonly idHead: readonly string[];
  readonly idSkip: number;
}

/** The rule for ids of the style `slash`, written once more: nothing in common with the program. */
function idBySpecification(head: readonly string[], keys: readonly string[]): string {
  let id = '';
  for (const segment of ['openmetadata', ...head, ...keys]) {
    id += '/';
    for (const character of segment)
      id += 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-'.includes(character)
        ? character.toLowerCase()
        : '_';
  }
  return id;
}

/** `servers[].apiKey` → servers, 0, apiKey: the only element has no name. */
const keysOf = (path: string): string[] => path.replaceAll('[]', '.0').split('.');

function subjectsOf(version: string): Subject[] {
  const { connectors, entities } = readHistory();
  let number = 0;
  const idOf = (): string => `0000000${version.length}-${version.replaceAll('.', '')}-${(number += 1)}`;
  const services = Object.entries(partOf(connectors, version)).map(([key, paths]): Subject => {
    const [kind = '', connector = ''] = key.split('/');
    const name = `${connector} of ${version}`;
    const id = idOf();
    const entityOf = (config: JsonObject): JsonObject => ({
      id,
      name,
      serviceType: connector,
      connection: { config: { type: connector, ...config } },
    });
    return {
      title: key,
      id,
      paths,
      entityType: `${kind}Service`,
      entityOf,
      idHead: [kind, name],
      idSkip: 0,
    };
  });
  const roots = { user: 'bot', ingestionPipeline: 'pipeline', workflow: 'workflow' } as const;
  const parts = partOf(entities, version);
  const others = Object.entries(roots).map(([entityType, kind]): Subject => {
    const name = `${entityType} of ${version}`;
    const id = idOf();
    return {
      title: entityType,
      id,
      paths: parts[entityType] ?? [],
      entityType,
      entityOf: (fields) => ({ id, name, ...(kind === 'bot' ? { isBot: true } : {}), ...fields }),
      idHead: [kind, name],
      idSkip: kind === 'bot' ? 1 : 0,
    };
  });
  return [...services, ...others].filter(({ paths }) => paths.length > 0);
}

describe.each(['0.13.2', '1.2.0', '1.4.0', '2.0.7'])('every connector and entity of %s', (version) => {
  it('keeps each of its password fields under its id, and each value nowhere else', async () => {
    const bench = await Bench.open();
    const subjects = subjectsOf(version);
    const expected = new Map<string, string>();
    let at = 0;
    const send = async (subject: Subject, entity: Json): Promise<void> => {
      at += 1;
      const event = { id: `event-${at}`, eventType: 'entityUpdated', timestamp: T0 + at, entity };
      const { entityType, id } = subject;
      const outcome = await bench.handle(sourceRecord({ ...event, entityType, entityId: id }));
      expect([subject.title, outcome, bench.last?.code]).toEqual([subject.title, 'applied', null]);
    };

    for (const subject of subjects) {
      const { paths, entityOf, idHead, idSkip, title, id } = subject;
      const textAt = (path: string): string => {
        const number = expected.size;
        const text = `${MARKER}-${version}-${number}-${FLAVOURS[number % FLAVOURS.length] ?? ''}`;
        expected.set(idBySpecification(idHead, keysOf(path).slice(idSkip)), text);
        return text;
      };
      const entity = entityOf(filled(paths, textAt));
      await send(subject, entity);
      expect([title, bench.sent(id)?.secretFields.length]).toEqual([title, paths.length]);

      const { calls } = bench;
      const { entity: secured } = bench.sent(id) ?? {};
      await send(subject, entity);
      await send(subject, entityOf(filled(paths, () => '*********')));
      await send(subject, secured ?? null);
      expect([title, bench.sent(id)?.entity]).toEqual([title, secured]);
      expect([title, bench.calls - calls]).toEqual([title, 0]);
    }
    expect(expected.size).toBe(subjects.reduce((sum, { paths }) => sum + paths.length, 0));
    expect(new Map(bench.puts.map(({ secretId, value }) => [secretId, value]))).toEqual(expected);
    expect(bench.puts).toHaveLength(expected.size);
    for (const [secretId, value] of expected) expect(await bench.valueOf(secretId)).toBe(value);
    await bench.expectNowhereElse(MARKER);

    const { calls } = bench;
    for (const subject of subjects) {
      const cleared = JSON.stringify(filled(subject.paths, () => '')).replaceAll('""', 'null');
      await send(subject, subject.entityOf(JSON.parse(cleared) as JsonObject));
      expect(bench.sent(subject.id)?.secretFields).toEqual([]);
    }
    expect(bench.calls).toBe(calls);
    expect(new Set(Object.values(await bench.stored()))).toEqual(new Set(['retired']));

    await bench.tidy();
    expect(bench.calls).toBe(calls);
    await bench.endGrace();
    let deleted = 0;
    for (let round = -1; round !== 0; deleted += round) round = (await bench.tidy()).deleted;
    expect(deleted).toBe(expected.size);
    for (const secretId of expected.keys()) expect(await bench.valueOf(secretId)).toBeNull();
    expect(new Set(Object.values(await bench.stored()))).toEqual(new Set(['deleted']));
    await bench.expectNowhereElse(MARKER);
  });
});
