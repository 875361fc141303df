import { type ErrorCode, WorkerError } from '../errors.js';
import type { PartReport, ReadinessReport, ReadinessWarning } from '../http/server.js';

/** The parts that a worker needs to get on. `consumer`: joined the group, and no partition held. */
export const PARTS = ['database', 'store', 'broker', 'consumer'] as const;
export type Part = (typeof PARTS)[number];
type Phase = 'starting' | 'running' | 'stopping';

/** So many are told of, the newest ones. */
const MOST_WARNINGS = 20;
const WARNED_FOR_MS = 86_400_000;

/** What somebody has to look at, though the worker goes on: in `/readyz` for a day. */
export class Warnings {
  #list: { readonly atMs: number; readonly warning: ReadinessWarning }[] = [];

  add(warning: ReadinessWarning): void {
    this.#list = [{ atMs: Date.now(), warning }, ...this.#list].slice(0, MOST_WARNINGS);
  }

  list(): readonly ReadinessWarning[] {
    const sinceMs = Date.now() - WARNED_FOR_MS;
    return this.#list.filter(({ atMs }) => atMs >= sinceMs).map(({ warning }) => warning);
  }
}

type State = PartReport['state'];

interface PartState {
  readonly state: State;
  readonly sinceMs: number;
  readonly code: string | null;
}

/** What the background checks found last: asking it costs nothing and waits for nobody. */
export class Readiness {
  phase: Phase = 'starting';
  readonly warnings = new Warnings();
  readonly #parts: Map<Part, PartState>;
  readonly #onChange: (part: Part, state: State, code: string | null) => void;
  readonly #now: () => number;

  constructor(
    onChange: (part: Part, state: State, code: string | null) => void,
    now: () => number = Date.now,
  ) {
    this.#onChange = onChange;
    this.#now = now;
    const starting: PartState = { state: 'starting', sinceMs: now(), code: null };
    this.#parts = new Map(PARTS.map((part) => [part, starting]));
  }

  up(part: Part): void {
    this.#set(part, 'up', null);
  }

  down(part: Part, code: string): void {
    this.#set(part, 'down', code);
  }

  stateOf(part: Part): State {
    return this.#parts.get(part)?.state ?? 'starting';
  }

  report(): ReadinessReport {
    const parts = [...this.#parts].map(([part, { state, sinceMs, code }]) => ({
      part,
      state,
      since: new Date(sinceMs).toISOString(),
      code,
    }));
    const ready = this.phase === 'running' && parts.every(({ state }) => state === 'up');
    return { ready, phase: this.phase, parts, warnings: this.warnings.list() };
  }

  #set(part: Part, state: State, code: string | null): void {
    const before = this.#parts.get(part);
    if (before?.state === state && before.code === code) return;
    const sinceMs = before?.state === state ? before.sinceMs : this.#now();
    this.#parts.set(part, { state, sinceMs, code });
    this.#onChange(part, state, code);
  }
}

/** What a failed check says: its code, or that it is a defect. */
export function codeOf(error: unknown): ErrorCode {
  return error instanceof WorkerError ? error.code : 'INTERNAL';
}
