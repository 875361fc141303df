import type { SecuredEvent } from '../terms.js';
import { isNewer } from './revisions.js';

type Accept = (event: SecuredEvent, origin: string, done: () => void) => void;

interface Newest {
  readonly event: SecuredEvent;
  /** The callbacks of this event and of all older ones: no offset is committed before the newest event is handled. */
  readonly done: (() => void)[];
}

/** Collects the newest event of each connection, partition by partition, until {@link handOver}. */
export class LatestStates {
  readonly #handOver: Accept;
  readonly #newest = new Map<string, Map<string, Newest>>();

  constructor(handOver: Accept) {
    this.#handOver = handOver;
  }

  accept(event: SecuredEvent, origin: string, tell: () => void): void {
    const states = this.#newest.get(origin) ?? new Map<string, Newest>();
    this.#newest.set(origin, states);
    const known = states.get(event.connectionId);
    const done = known?.done ?? [];
    done.push(tell);
    const newest = known !== undefined && !isNewer(event, known.event) ? known.event : event;
    states.set(event.connectionId, { event: newest, done });
  }

  /** Call it when the partition is read to its end. */
  handOver(origin: string): void {
    const states = this.#newest.get(origin);
    this.#newest.delete(origin);
    for (const { event, done } of states?.values() ?? []) {
      this.#handOver(event, origin, () => {
        for (const tell of done) tell();
      });
    }
  }

  /** Call it when another member gets the partition. */
  lose(origin: string): void {
    this.#newest.delete(origin);
  }
}
