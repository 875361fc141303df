import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { Metrics } from '../../../src/observability/index.js';

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly expr: string }[];
  }[];
}

const { groups } = parse(
  readFileSync(new URL('../../../deploy/prometheus/rules.yaml', import.meta.url), 'utf8'),
) as Rules;
const rules = groups.flatMap((group) => group.rules);

/** A worker that has just started, with one partition, and has asked the store once. */
async function series(): Promise<string[]> {
  const metrics = new Metrics({ version: '1', manager: 'db' });
  metrics.lag({ topic: 'a', partition: 0 }, 0);
  metrics.ready('broker', true);
  metrics.storeRequest({ provider: 'p', call: 'c', result: 'ThrottlingException', durationMs: 1 });
  return (await metrics.render()).split('\n');
}

it.each(rules.map(({ alert, expr }) => [alert, expr] as const))(
  '%s looks at series that are there from the start, with labels that they have',
  async (_, expr) => {
    const lines = await series();
    const selectors = [...expr.matchAll(/(connection_secrets_\w+)(?:\{([^}]*)\})?/g)];
    expect(selectors).not.toEqual([]);
    for (const [, name = '', labels = ''] of selectors) {
      const matchers = [...labels.matchAll(/(\w+)(=~?)"([^"]*)"/g)].map(([, label, how, value = '']) => {
        const pattern = how === '=~' ? `(?:${value})` : value;
        return new RegExp(`[{,]${label}="${pattern}"`);
      });
      const found = lines.filter(
        (line) =>
          (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) &&
          matchers.every((each) => each.test(line)),
      );
      expect(found, `${name}{${labels}}`).not.toEqual([]);
    }
    for (const [, by = ''] of expr.matchAll(/by \(([^)]*)\)/g))
      for (const label of by.split(', '))
        expect(
          lines.some(
            (line) =>
              selectors.some(([, name]) => line.startsWith(`${name}{`)) && line.includes(`${label}="`),
          ),
          label,
        ).toBe(true);
  },
);

it('every alarm is in docs/operations.md with what to do, and the other way round', () => {
  const text = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8');
  const documented = [...text.matchAll(/^\| `(ConnectionSecrets\w+)` \|/gm)].map(([, name]) => name);
  expect(documented.sort()).toEqual(rules.map(({ alert }) => alert).sort());
});
