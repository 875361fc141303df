import type { SecuredEvent } from '../terms.js';
import { isNewer } from './revisions.js';

type Accept = (event: SecuredEvent, origin: string, done: () => void) => void;

interface Held {
  readonly event: SecuredEvent;
  /** Of this event and of all older ones: nothing is committed before the newest is handed over. */
  readonly done: (() => void)[];
}

/** Keeps, partition by partition, only the newest event of each connection until it is told to hand them over. */
export class LatestStates {
  readonly #handOver: Accept;
  readonly #held = new Map<string, Map<string, Held>>();

  constructor(handOver: Accept) {
    this.#handOver = handOver;
  }

  accept(event: SecuredEvent, origin: string, tell: () => void): void {
    const states = this.#held.get(origin) ?? new Map<string, Held>();
    this.#held.set(origin, states);
    const held = states.get(event.connectionId);
    const done = held?.done ?? [];
    done.push(tell);
    const newest = held !== undefined && !isNewer(event, held.event) ? held.event : event;
    states.set(event.connectionId, { event: newest, done });
  }

  /** The partition is read to its end. */
  handOver(origin: string): void {
    const states = this.#held.get(origin);
    this.#held.delete(origin);
    for (const { event, done } of states?.values() ?? []) {
      this.#handOver(event, origin, () => {
        for (const tell of done) tell();
      });
    }
  }

  /** It belongs to another member now. */
  lose(origin: string): void {
    this.#held.delete(origin);
  }
}
