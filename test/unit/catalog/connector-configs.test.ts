import { expect, it } from 'vitest';
import type { Json, JsonObject } from '../../../src/terms.js';
import { finderOf, readTestData, service } from './support.js';

interface Configuration {
  readonly about: string;
  readonly config: JsonObject;
  readonly secret: readonly string[];
}

const { configurations } = readTestData('connector-configs.json') as {
  readonly configurations: readonly Configuration[];
};
const AT = '/connection/config';

function textsIn(value: Json): number {
  if (typeof value === 'string') return 1;
  if (value === null || typeof value !== 'object') return 0;
  return Object.values(value).reduce((sum: number, member) => sum + textsIn(member), 0);
}

it('judges every text in the configurations of connectors correctly', () => {
  const finder = finderOf();
  const judged = configurations.map(({ about, config, secret }) => {
    const found = finder
      .find(service('database', 'SomeConnector', config))
      .fields.filter(({ onlyIfStored }) => !onlyIfStored)
      .map(({ pointer }) => pointer.slice(AT.length));
    return {
      about,
      missed: secret.filter((pointer) => !found.includes(pointer)),
      wrong: found.filter((pointer) => !secret.includes(pointer)),
    };
  });
  const texts = configurations.reduce((sum, { config }) => sum + textsIn(config), 0);
  const secrets = configurations.reduce((sum, { secret }) => sum + secret.length, 0);
  const count = (key: 'missed' | 'wrong'): number => judged.reduce((sum, one) => sum + one[key].length, 0);
  console.info(
    `configurations: ${configurations.length}, ${secrets - count('missed')} of ${secrets} secrets found, ` +
      `${count('wrong')} of ${texts - secrets} other texts taken for one`,
  );
  expect(judged.filter(({ missed, wrong }) => missed.length + wrong.length > 0)).toEqual([]);
});
