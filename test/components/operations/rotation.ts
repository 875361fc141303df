import { generateKey, tokenOf } from '../../../src/fernet/index.js';
import { queryDatabase, runCli } from '../../harness/index.js';
import type { Bench } from '../secrets/fixture.js';

export interface Place {
  readonly place: string;
  readonly keys: string;
  readonly current: number;
  readonly old: number;
  readonly unknown: number;
  readonly rotated: number;
}

export interface Report {
  readonly places: readonly Place[];
  readonly rotated: number;
  readonly complete: boolean;
}

export const [OLD, NEW] = [generateKey(), generateKey()];
export const [OLD_DEAD, NEW_DEAD] = [generateKey(), generateKey()];
export const OLD_ALONE = { FERNET_KEY: OLD, DEAD_LETTER_FERNET_KEY: OLD_DEAD };
export const BOTH = { FERNET_KEY: `${NEW},${OLD}`, DEAD_LETTER_FERNET_KEY: `${NEW_DEAD},${OLD_DEAD}` };
export const NEW_ALONE = { FERNET_KEY: NEW, DEAD_LETTER_FERNET_KEY: NEW_DEAD };

export type Settings = Readonly<Record<string, string>>;

/** What a rotation is not to change. */
const REST = [
  'SELECT id, state, revision, operation, entity, applied_order, secured_from, unpublished_since_ms, updated_at_ms FROM connection ORDER BY id',
  'SELECT connection_id, path, holds, owned, fingerprint, reference_hash, secret_id, set_order FROM secret_reference ORDER BY connection_id, path',
  'SELECT secret_id, state, version FROM stored_secret ORDER BY secret_id',
  'SELECT event_hash, outcome FROM inbox ORDER BY event_hash',
  'SELECT id, revision, stream, sent_at_ms FROM outbox ORDER BY id',
  'SELECT event_hash, state, code, attempts FROM dead_letter ORDER BY event_hash',
];

const SEALED = [
  ['secret_reference', 'sealed'],
  ['outbox', 'payload'],
  ['dead_letter', 'payload'],
] as const;

/** The program itself against the database of a bench. */
export class Rotations {
  constructor(
    readonly bench: Pick<Bench, 'url'>,
    private readonly env: Settings = {},
  ) {}

  envWith(keys: Settings): Record<string, string> {
    return { DATABASE_URL: this.bench.url, ...this.env, ...keys };
  }

  async run(keys: Settings, ...flags: string[]) {
    const result = await runCli(['rotate-keys', '--json', ...flags], {
      env: this.envWith(keys),
      timeoutMs: 240_000,
    });
    const report = result.stdout === '' ? null : (JSON.parse(result.stdout) as Report);
    return { ...result, report };
  }

  async doctor(keys: Settings) {
    const { stdout } = await runCli(['doctor', '--json'], { env: this.envWith(keys) });
    const { checks } = JSON.parse(stdout) as { checks: { check: string; result: string; detail: string }[] };
    return checks;
  }

  async rest(): Promise<string> {
    const rows = [];
    for (const sql of REST) rows.push(await queryDatabase(this.bench, sql));
    return JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
  }

  async tokens(): Promise<{ table: string; token: string }[]> {
    const tokens: { table: string; token: string }[] = [];
    for (const [table, column] of SEALED)
      for (const row of await queryDatabase(this.bench, `SELECT ${column} AS sealed FROM ${table}`))
        tokens.push({ table, token: tokenOf(String(row['sealed'])) });
    return tokens;
  }
}

export function placesOf(report: Report | null): Record<string, Omit<Place, 'place'>> {
  return Object.fromEntries((report?.places ?? []).map(({ place, ...counts }) => [place, counts]));
}
