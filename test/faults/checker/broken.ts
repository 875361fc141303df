import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import type { CheckInput } from './index.js';

/** A secured event as a line of a pipe. */
export interface Line extends Record<string, unknown> {
  data: Record<string, unknown> & {
    connectionId: string;
    revision: number;
    secretFields: { reference: string; owned: boolean }[];
    source: { eventId: string };
  };
}

export type Damage = (run: Broken) => void;

/** One folder of a run that was healthy until now. */
export class Broken {
  readonly dir: string;
  input: CheckInput;

  constructor({ dir, input }: { dir: string; input: CheckInput }) {
    this.dir = dir;
    this.input = input;
  }

  execute(file: string, sql: string): void {
    const database = new Sqlite(join(this.dir, file));
    try {
      database.exec(sql);
    } finally {
      database.close();
    }
  }

  lines(change: (lines: Line[]) => Line[]): void {
    const file = join(this.dir, 'secured.ndjson');
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    const changed = change(lines.map((line) => JSON.parse(line) as Line));
    writeFileSync(file, changed.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }
}

/** Statements on the worker's database. */
export const sql =
  (statements: string): Damage =>
  (run) =>
    run.execute('w.sqlite', statements);

/** Statements on the store. */
export const vault =
  (statements: string): Damage =>
  (run) =>
    run.execute('w.vault', statements);

/** Secured events that are left out. */
export const without =
  (isGone: (data: Line['data']) => boolean): Damage =>
  (run) =>
    run.lines((lines) => lines.filter(({ data }) => !isGone(data)));

/** Changes the last secured event of a connection. */
export const last =
  (connection: string, change: (data: Line['data'], line: Line) => void): Damage =>
  (run) =>
    run.lines((lines) => {
      const line = lines.findLast(({ data }) => data.connectionId === connection);
      if (line === undefined) throw new Error(`no secured event of ${connection}`);
      change(line.data, line);
      return lines;
    });

/** Has every field of a connection's last secured event refer to something else. */
export const refer = (connection: string, reference: string): Damage =>
  last(connection, ({ secretFields }) => {
    for (const field of secretFields) field.reference = reference;
  });

/** Has the secured event of one source event say that it comes from another one. */
export const comesFrom =
  (eventId: string, other: string): Damage =>
  (run) =>
    run.lines((lines) => {
      for (const { data } of lines) if (data.source.eventId === eventId) data.source.eventId = other;
      return lines;
    });

/** Adds lines that are there already. */
export const again =
  (isMeant: (data: Line['data']) => boolean, change: (line: Line) => Line = (line) => line): Damage =>
  (run) =>
    run.lines((lines) => [...lines, ...lines.filter(({ data }) => isMeant(data)).map(change)]);

export const append =
  (file: string, text: string): Damage =>
  (run) =>
    appendFileSync(join(run.dir, file), text);

/** Tells the checker something else. */
export const told =
  (change: (input: CheckInput, dir: string) => Partial<CheckInput>): Damage =>
  (run) => {
    run.input = { ...run.input, ...change(run.input, run.dir) };
  };
