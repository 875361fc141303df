import type { Engine } from './world.js';

/** A column of the kill matrix. */
export interface Column {
  readonly id: string;
  readonly engine: Engine;
  /** Null: a pipe. */
  readonly workers: 1 | 2 | null;
  /**
   * Of two workers the one that comes to the boundary first dies, and is started again at once; or it is spared, the
   * other one dies there, and comes back when the first has taken everything over.
   */
  readonly dies: 'first' | 'other';
}

export const COLUMNS: readonly Column[] = [
  { id: 'sqlite-pipe', engine: 'sqlite', workers: null, dies: 'first' },
  { id: 'postgres-1', engine: 'postgres', workers: 1, dies: 'first' },
  { id: 'postgres-2', engine: 'postgres', workers: 2, dies: 'first' },
  { id: 'postgres-2-other', engine: 'postgres', workers: 2, dies: 'other' },
  { id: 'mariadb-1', engine: 'mariadb', workers: 1, dies: 'first' },
  { id: 'mariadb-2', engine: 'mariadb', workers: 2, dies: 'first' },
  { id: 'mariadb-2-other', engine: 'mariadb', workers: 2, dies: 'other' },
];
