import { beforeAll, expect, it } from 'vitest';
import type { AuditRow } from '../../../src/database/rows.js';
import { migrateSchema } from '../../../src/database/schema.js';
import {
  createDatabase,
  describeWith,
  queryDatabase,
  startMariadb,
  type TestDatabase,
} from '../../harness/index.js';
import { claimOne, connectionRow, ledgerOn, openDatabase, referenceRow } from './support.js';

/** Texts that leave a quoted literal, if one of the two sides reads backslashes or quotes otherwise than the other. */
const PAYLOADS = [
  `\\', (SELECT 'ran'))-- `,
  `x', NULL, NULL, NULL, NULL), ('injected', 1, 'write', 'ran', NULL, NULL, NULL, NULL, NULL)-- `,
  `\\', NULL, NULL, NULL, NULL, NULL); UPDATE setting SET value = 'ran'; -- `,
  `"; DROP TABLE audit; -- `,
  `a\\`,
  `'`,
  `\\'`,
  `'||(SELECT 'ran')||'`,
  // The first byte of a character of GBK, and of Shift_JIS, before a quote and before a backslash.
  `\u00bf' OR 1=1 -- `,
  `縗' OR 1=1 -- `,
  `表\\' OR 1=1 -- `,
  `?, ?, ?`,
  `🔑\u0000\n\r\u001a`,
];

function auditRow(id: string, actor: string): AuditRow {
  const nothing = {
    connectionId: null,
    path: null,
    secretId: null,
    eventId: null,
    detail: null,
    fields: null,
  };
  return { ...nothing, id, atMs: 1, action: 'write', actor };
}

/** Stores every text in every kind of place, and reads it from outside. `url`: of the worker's own user. */
async function expectTextsOnly(database: TestDatabase, url = database.url): Promise<void> {
  const opened = await openDatabase(url);
  await migrateSchema(opened);
  const ledger = await ledgerOn(opened);
  for (const [index, text] of PAYLOADS.entries()) {
    const kept = text.replaceAll('\0', '');
    const id = `c${String(index)}`;
    const result = await claimOne(ledger, id, (state) => ({
      connection: connectionRow(state, { name: kept, entity: JSON.stringify({ text }), serviceType: kept }),
      references: { set: [referenceRow(id, kept, { sealed: kept })], removePathHashes: [] },
      audit: [auditRow(`a${String(index)}`, kept)],
    }));
    expect(result.kind).toBe('committed');
  }
  const texts = PAYLOADS.map((text) => text.replaceAll('\0', ''));
  const rows = await queryDatabase(database, 'SELECT id, actor FROM audit');
  expect(new Map(rows.map(({ id, actor }) => [id, actor]))).toEqual(
    new Map(texts.map((text, index) => [`a${String(index)}`, text])),
  );
  const names = await queryDatabase(database, 'SELECT name, entity, service_type FROM connection');
  expect(names.map(({ name }) => name).sort()).toEqual([...texts].sort());
  expect(names.map(({ service_type: type }) => type).sort()).toEqual([...texts].sort());
  expect(names.map(({ entity }) => JSON.stringify(JSON.parse(String(entity)))).sort()).toEqual(
    PAYLOADS.map((text) => JSON.stringify({ text })).sort(),
  );
  const found = await opened.run(({ manager, tables }) =>
    Promise.all(texts.map((path) => manager.countBy(tables.reference, { path }))),
  );
  expect(found).toEqual(texts.map(() => 1));
  const settings = await queryDatabase(database, "SELECT name FROM setting WHERE value = 'ran'");
  expect(settings).toEqual([]);
}

describeWith(['mariadb'], 'a MariaDB whose sessions begin with other settings', () => {
  let address: string;
  beforeAll(async () => {
    ({ address } = await startMariadb());
  });

  it('keeps every text as a text, whatever sql_mode and character set the server gives', async () => {
    const admin = (sql: string) => queryDatabase({ url: address }, sql);
    for (const mode of [
      'NO_BACKSLASH_ESCAPES',
      'NO_BACKSLASH_ESCAPES,ANSI_QUOTES,PIPES_AS_CONCAT',
      'ANSI,TRADITIONAL',
      'ORACLE',
      '',
    ]) {
      await admin(`SET GLOBAL sql_mode = '${mode}'`);
      await expectTextsOnly(await createDatabase('mariadb', address));
    }
    await admin(`SET GLOBAL init_connect = "SET NAMES gbk, sql_mode = 'NO_BACKSLASH_ESCAPES'"`);
    // init_connect does not run for a user with all rights.
    await admin(`CREATE USER plain@'127.0.0.1' IDENTIFIED BY 'plain'`);
    const database = await createDatabase('mariadb', address);
    const url = new URL(database.url);
    await admin(`GRANT ALL ON ${url.pathname.slice(1)}.* TO plain@'127.0.0.1'`);
    url.username = url.password = 'plain';
    await expectTextsOnly(database, url.href);
  });

  it('is refused a text that is too long, and never cuts it off', async () => {
    await queryDatabase({ url: address }, "SET GLOBAL sql_mode = ''");
    const opened = await openDatabase((await createDatabase('mariadb', address)).url);
    await migrateSchema(opened);
    const ledger = await ledgerOn(opened);
    await expect(
      claimOne(ledger, 'c', () => ({ audit: [auditRow('x'.repeat(65), 'a')] })),
    ).rejects.toMatchObject({ failure: 'refused' });
    expect(await opened.run(({ manager, tables }) => manager.find(tables.audit))).toEqual([]);
  });

  it('is asked again: settings that somebody changes later do not stay', async () => {
    const opened = await openDatabase((await createDatabase('mariadb', address)).url);
    await migrateSchema(opened);
    const ledger = await ledgerOn(opened);
    // As a proxy that shares sessions would leave them behind.
    await opened.run(({ manager }) =>
      manager.query("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES', character_set_client = 'gbk'"),
    );
    await claimOne(ledger, 'c', () => ({
      audit: PAYLOADS.map((text, index) => auditRow(`a${index}`, text.replaceAll('\0', ''))),
    }));
    const rows = await opened.run(({ manager, tables }) => manager.find(tables.audit));
    expect(rows.map(({ actor }) => actor).sort()).toEqual(
      PAYLOADS.map((text) => text.replaceAll('\0', '')).sort(),
    );
  });
});

describeWith(['postgres'], 'a PostgreSQL with standard_conforming_strings = off', () => {
  it('keeps every text as a text', async () => {
    const database = await createDatabase('postgres');
    const name = new URL(database.url).pathname.slice(1);
    await queryDatabase(database, `ALTER DATABASE ${name} SET standard_conforming_strings = off`);
    await expectTextsOnly(database);
  });
});
