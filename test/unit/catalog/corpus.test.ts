import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { holdsSecret, masksSecret } from '../../../src/catalog/secret-text.js';

/** Lines of a corpus: `\n`, `\"` and `\\` are escapes, `{{x}}` is x (no whole token stands in a file). */
function textsOf(file: string): string[] {
  const lines = readFileSync(new URL(`./data/${file}`, import.meta.url), 'utf8').split('\n');
  return lines
    .filter((line) => line !== '' && !line.startsWith('# ') && !line.startsWith('## '))
    .map((line) =>
      line
        .replace(/\{\{([^{}]*)\}\}/g, '$1')
        .replace(/\\(n|"|\\)/g, (_, c: string) => (c === 'n' ? '\n' : c)),
    );
}

it('judges every text of the corpus correctly', () => {
  const [secret, plain] = [textsOf('corpus-secret.txt'), textsOf('corpus-plain.txt')];
  const missed = secret.filter((text) => !holdsSecret(text));
  const wrong = plain.filter(holdsSecret);
  console.info(
    `corpus: ${secret.length - missed.length} of ${secret.length} texts with credentials, ` +
      `${plain.length - wrong.length} of ${plain.length} without`,
  );
  expect({ missed, wrong }).toEqual({ missed: [], wrong: [] });
  expect(Math.min(new Set(secret).size, new Set(plain).size)).toBeGreaterThanOrEqual(300);
});

const url = (text: string): string => encodeURIComponent(text).replaceAll("'", '%27');
const double = (text: string): string => `"${text.replaceAll('"', '""')}"`;
const escaped = (text: string): string => text.replace(/[\\'"]/g, '\\$&');
const xml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

/** Each with the password written as the form demands. */
const FORMS: Readonly<Record<string, (password: string) => string>> = {
  url: (password) => `postgresql+psycopg2://etl:${url(password)}@db:5432/sales`,
  'query of a URL': (password) => `jdbc:postgresql://db/sales?user=etl&password=${url(password)}&ssl=true`,
  ADO: (password) => `Server=db;User ID=etl;Password=${double(password)};Encrypt=True`,
  ODBC: (password) => `Driver={ODBC};UID=etl;PWD={${password.replaceAll('}', '}}')}};`,
  'ODBC in a URL': (password) =>
    `mssql+pyodbc:///?odbc_connect=${url(`UID=etl;PWD={${password.replaceAll('}', '}}')}}`)}`,
  libpq: (password) => `host=db user=etl password='${escaped(password)}' dbname=sales`,
  JAAS: (password) => `x.PlainLoginModule required username="etl" password="${escaped(password)}";`,
  Go: (password) => `etl:${password}@tcp(db:3306)/sales?parseTime=true`,
  JSON: (password) => JSON.stringify({ user: 'etl', nested: [{ password }] }),
  'JSON with labels': (password) => JSON.stringify([{ Key: 'dbPass', Value: password }]),
  'JSON in JSON': (password) => JSON.stringify({ config: JSON.stringify({ password }) }),
  'JSON in base64': (password) => Buffer.from(JSON.stringify({ password })).toString('base64'),
  YAML: (password) => `db:\n  user: etl\n  password: ${JSON.stringify(password)}\n`,
  XML: (password) => `<db><user>etl</user><password>${xml(password)}</password></db>`,
  attribute: (password) => `<property name="password" value="${xml(password)}"/>`,
  SQL: (password) => `CREATE USER etl IDENTIFIED BY '${password.replaceAll("'", "''")}'`,
};

describe('any password', () => {
  const passwords = fc
    .oneof(
      fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 30 }),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
      fc
        .tuple(
          fc.constantFrom('$', '${', '<', '[', '{', '{{', '%(', '%', "'", '"', '\\', '#', '@'),
          fc.string({ unit: 'grapheme-ascii' }),
        )
        .map((parts) => parts.join('')),
    )
    // Blanks alone are a cleared field of a form, and null is JSON's word for none.
    .filter((password) => password.trim() !== '' && password.isWellFormed());

  it.each(Object.entries(FORMS))('is found in %s', (_, form) => {
    fc.assert(
      fc.property(passwords, (password) => holdsSecret(form(password))),
      { numRuns: 1_000 },
    );
  });

  it.each(Object.entries(FORMS).filter(([name]) => name !== 'JAAS'))(
    'is told from a mask in %s',
    (_, form) => {
      for (const mask of ['*********', '••••', 'XXXXXXXXXX', '[hidden]'])
        expect(masksSecret(form(mask))).toBe(true);
      expect(masksSecret(form('Tr0ub4dor'))).toBe(false);
    },
  );
});
