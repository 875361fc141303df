import { keyOf } from './key.js';
import { violation } from './invariants.js';
import type { World } from './moves.js';
import { initialState, type State } from './state.js';
import { successors } from './world-moves.js';

export interface Limits {
  /** How many faults there are in one run: kills, stops, time-outs, throttles, refusals, redeliveries and rebalances. */
  readonly faults: number;
  /** How many changes of manager there are in one run. */
  readonly moves: number;
  /** Stops, and says so, after this many states. */
  readonly maxStates: number;
}

export interface Exploration {
  readonly states: number;
  readonly transitions: number;
  readonly durationMs: number;
  /** False if there are more states than the limit. */
  readonly isComplete: boolean;
  /** One of the shortest ways to a state that breaks an invariant. */
  readonly counterExample: CounterExample | null;
}

export interface CounterExample {
  readonly violation: string;
  readonly steps: readonly string[];
  readonly end: State;
}

/**
 * Explores all states, breadth first, so that the first violation has the fewest steps.
 *
 * @param visit called with every state whose successors are explored
 */
export function explore(world: World, limits: Limits, visit?: (state: State) => void): Exploration {
  return new Explorer(world, limits, visit).run();
}

class Explorer {
  readonly #world: World;
  readonly #limits: Limits;
  readonly #seen = new Set<string>();
  /** For each state, by its number: the state before it, and which of that state's successors it is. */
  readonly #parents: number[] = [];
  readonly #choices: number[] = [];
  readonly #visit: (state: State) => void;
  #transitions = 0;

  constructor(world: World, limits: Limits, visit: (state: State) => void = () => undefined) {
    this.#world = world;
    this.#limits = limits;
    this.#visit = visit;
  }

  run(): Exploration {
    const startedMs = performance.now();
    const found = this.#search();
    return {
      states: this.#seen.size,
      transitions: this.#transitions,
      durationMs: performance.now() - startedMs,
      isComplete: this.#seen.size < this.#limits.maxStates,
      counterExample: found === null ? null : this.#trace(found.number, found.violation),
    };
  }

  #start(): State {
    return initialState(this.#world.history.events.length, this.#limits);
  }

  #search(): { number: number; violation: string } | null {
    let level: { state: State; key: string; number: number }[] = [];
    const first = this.#start();
    const key = keyOf(first);
    this.#seen.add(key);
    this.#parents.push(-1);
    this.#choices.push(0);
    level.push({ state: first, key, number: 0 });
    while (level.length > 0 && this.#seen.size < this.#limits.maxStates) {
      const next: typeof level = [];
      for (const { state, key: ownKey, number } of level) {
        this.#visit(state);
        let choice = -1;
        let isEnd = true;
        let broken: { number: number; violation: string } | null = null;
        successors(state, this.#world, (after) => {
          choice += 1;
          this.#transitions += 1;
          const afterKey = keyOf(after);
          if (
            after.faultsLeft === state.faultsLeft &&
            after.movesLeft === state.movesLeft &&
            afterKey !== ownKey
          )
            isEnd = false;
          if (this.#seen.has(afterKey)) return;
          this.#seen.add(afterKey);
          this.#parents.push(number);
          this.#choices.push(choice);
          const found = { state: after, key: afterKey, number: this.#parents.length - 1 };
          const wrong = violation(after, this.#world, false);
          if (wrong !== null) broken ??= { number: found.number, violation: wrong };
          next.push(found);
        });
        if (broken !== null) return broken;
        const wrong = isEnd ? violation(state, this.#world, true) : null;
        if (wrong !== null) return { number, violation: wrong };
      }
      level = next;
    }
    return null;
  }

  /** Goes the way to a state again and describes each step. */
  #trace(number: number, wrong: string): CounterExample {
    const choices: number[] = [];
    for (let at = number; at > 0; at = this.#parents[at] ?? 0) choices.unshift(this.#choices[at] ?? 0);
    let state = this.#start();
    const steps = choices.map((wanted) => {
      let choice = -1;
      let step: { after: State; text: string } | null = null;
      successors(state, this.#world, (after, text) => {
        choice += 1;
        if (choice === wanted) step = { after, text: text() };
      });
      if (step === null) throw new Error('the way cannot be walked again');
      const { after, text } = step as { after: State; text: string };
      state = after;
      return text;
    });
    return { violation: wrong, steps, end: state };
  }
}
