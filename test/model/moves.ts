import type { Switches } from './decide.js';
import type { History } from './history.js';
import { forgetVersions, land, STORE_KINDS, type Answer, type StoreKind } from './store.js';
import { copyState, idle, type Actor, type Request, type State } from './state.js';

/** The world that one run explores. */
export interface World {
  readonly history: History;
  readonly stores: readonly StoreKind[];
  readonly rules: Switches;
  /** Whether a send may still arrive at the broker after its thread gave it up. */
  readonly lateSends: boolean;
  /** Whether a claim may be renewed for longer than requests can be late. */
  readonly longClaims: boolean;
}

/** Gives a successor to the explorer, which calls `text` only to print a trace. */
export type Emit = (next: State, text: () => string) => void;

/** One step of one thread. */
export class Step {
  readonly state: State;
  readonly actor: Actor;
  readonly #emit: Emit;

  constructor(before: State, index: number, emit: Emit) {
    this.state = copyState(before, index);
    this.actor = this.state.actors[index] as Actor;
    this.#emit = emit;
  }

  emit(text: () => string): void {
    forgetVersions(this.state);
    const { name } = this.actor;
    this.#emit(this.state, () => `${name} ${text()}`);
  }

  /** The thread becomes idle. */
  end(): void {
    const { name } = this.actor;
    this.state.actors[this.state.actors.indexOf(this.actor)] = idle(name);
  }

  /** Uses up one fault. False if none is left. */
  spendFault(): boolean {
    if (this.state.faultsLeft === 0) return false;
    this.state.faultsLeft -= 1;
    return true;
  }

  /** The thread's request reaches the store, and the thread gets the answer. */
  land(world: World): Answer {
    const { request } = this.actor;
    if (request === null) throw new Error('nothing was sent');
    this.actor.request = null;
    return land(this.state, kindOf(world, request), request);
  }

  /** The thread gives its request up. The request may still arrive. */
  giveUp(): void {
    if (this.actor.request !== null) this.state.late.push(this.actor.request);
    this.actor.request = null;
  }
}

export function kindOf({ stores }: World, { store }: Pick<Request, 'store'>): StoreKind {
  const kind = stores[store];
  if (kind === undefined) throw new RangeError(`no store ${store}`);
  return kind;
}

export function comparesAndSets(world: World, request: Pick<Request, 'store'>): boolean {
  return STORE_KINDS[kindOf(world, request)].compareAndSet;
}

/** The version that a write to this store replaces; null: whatever is there. */
export function expectedVersion(world: World, actor: Pick<Actor, 'store' | 'current'>): number | null {
  return comparesAndSets(world, actor) && world.rules('expected-version') ? actor.current : null;
}

export function requestText(request: Request): string {
  switch (request.op) {
    case 'create':
    case 'put':
      return `${request.op} ${request.value}`;
    case 'move':
      return `move of the current version`;
    case 'delete':
      return 'delete';
    case 'send':
      return `send of ${revisionText(request.revisions)}`;
  }
}

export function revisionText(revisions: readonly number[]): string {
  if (revisions.length === 0) return 'nothing';
  return revisions.map((revision) => (revision === 0 ? 'a dead letter' : `revision ${revision}`)).join(', ');
}
