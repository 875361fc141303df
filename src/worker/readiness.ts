import type { PartReport, ReadinessReport, ReadinessWarning } from '../http/server.js';

/** The parts that a worker needs. `consumer` is up if it has joined its group and no partition fails. */
export const PARTS = ['database', 'store', 'broker', 'consumer'] as const;
export type Part = (typeof PARTS)[number];
type Phase = 'starting' | 'running' | 'stopping';

/** `/readyz` shows this many warnings, the newest ones. */
const MOST_WARNINGS = 20;
const SHOWN_FOR_MS = 86_400_000;

/** Problems that an operator has to look at while the worker goes on. `/readyz` shows them for a day. */
export class Warnings {
  #list: { readonly atMs: number; readonly warning: ReadinessWarning }[] = [];

  add(warning: ReadinessWarning): void {
    this.#list = [{ atMs: Date.now(), warning }, ...this.#list].slice(0, MOST_WARNINGS);
  }

  list(): readonly ReadinessWarning[] {
    const sinceMs = Date.now() - SHOWN_FOR_MS;
    return this.#list.filter(({ atMs }) => atMs >= sinceMs).map(({ warning }) => warning);
  }
}

type State = PartReport['state'];

interface PartState {
  readonly state: State;
  readonly sinceMs: number;
  readonly code: string | null;
}

/** The last results of the background checks. Reading them costs nothing. */
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
