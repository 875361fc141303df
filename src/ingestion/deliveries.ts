import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { backoffMs } from '../kafka/backoff.js';
import type { BackoffOptions } from '../kafka/backoff.js';
import { safeError } from '../observability/logger.js';
import type { JsonObject, SecuredEvent } from '../terms.js';
import type { FilledObject } from './fill.js';
import type { Resolver } from './resolver.js';
import { isNewer, isSame } from './revisions.js';
import type { Revision } from './revisions.js';
import { Turns } from './turns.js';

/** One secured event on its way to the handler. Each attempt gets a copy of its own. */
export interface SecuredDelivery {
  readonly event: SecuredEvent;
  /** `event.entity`: as it came, with references in place of values; null after a hard deletion. */
  readonly entity: JsonObject | null;
  /** From 1. */
  readonly attempt: number;
  /** Aborted when the outcome no longer matters: another member has the partition, or the grace of `stop` is over. */
  readonly signal: AbortSignal;
  /**
   * A copy of the entity with values in place of references; null after a hard deletion. From the second attempt on it
   * asks the store, even if the values are cached.
   * @throws UnresolvedReferenceError its class tells why
   */
  resolve(): Promise<FilledObject | null>;
}

/**
 * Resolves when the event is handled. If it throws, the event is delivered again later, or a newer one of its connection
 * in its place.
 */
export type SecuredHandler = (delivery: SecuredDelivery) => Promise<void> | void;

/** An event that was tried as often as {@link GiveUp} allows. */
export interface GivenUp {
  readonly event: SecuredEvent;
  /** The number of attempts. */
  readonly attempts: number;
  /** What the last attempt threw. A driver's error may quote the password that it connected with: mind where you show it. */
  readonly error: unknown;
}

/** When to stop trying an event, and whom to tell: no event is dropped silently. */
export interface GiveUp {
  /** From 1. */
  readonly afterAttempts: number;
  /**
   * Store the event, or raise an alarm. If the promise resolves, the event counts as handled. If it rejects, the event is
   * delivered again later.
   */
  readonly onGivenUp: (given: GivenUp) => Promise<void> | void;
}

export interface DeliveriesOptions {
  readonly handler: SecuredHandler;
  /** Default: never. */
  readonly giveUp?: GiveUp;
  readonly resolver: Resolver;
  readonly concurrency: number;
  readonly backoff: BackoffOptions;
  readonly logger: Logger;
}

interface Item {
  readonly event: SecuredEvent;
  /** Its partition. The item is dropped when another member gets that. */
  readonly origin: string;
  /** Called when the event is handled. Several, if the same event was read again meanwhile. */
  readonly done: (() => void)[];
  isLost: boolean;
  abort: AbortController;
}

/** The events of one connection, oldest first; the first one is with the handler or waits for its next attempt. */
interface Lane {
  readonly items: Item[];
  /** Ends the wait for the next attempt. */
  wake: () => void;
}

type Outcome = { readonly kind: 'handled' } | { readonly kind: 'failed'; readonly error: unknown };

const HANDLED: Outcome = { kind: 'handled' };

/** If a connection drops out of this list, an old event of it that is read again is delivered again. */
const MAX_CONNECTIONS = 100_000;

/**
 * Hands the events of one connection to the handler one after another, and different connections at the same time. Drops
 * an event that is not newer than the one handled last. Tries a failed event again until it is given up or a newer event
 * of its connection comes: each event is the full state, so the newest one replaces all before it.
 */
export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #handled = new LRUCache<string, Revision>({ max: MAX_CONNECTIONS });
  readonly #turns: Turns;
  readonly #running = new Set<Promise<void>>();
  #halted = false;

  constructor(options: DeliveriesOptions) {
    this.#options = options;
    this.#turns = new Turns(options.concurrency);
  }

  /** @param done called once, when the event was handled or turned out to be old */
  accept(event: SecuredEvent, origin: string, done: () => void): void {
    const { connectionId } = event;
    const lane = this.#lanes.get(connectionId);
    // Lost items do not count: the member that has their partition now reads them again, perhaps we ourselves.
    const waiting = lane?.items.filter((item) => !item.isLost) ?? [];
    const again = waiting.find((item) => isSame(item.event, event));
    if (again !== undefined) {
      again.done.push(done);
      return;
    }
    const newest = waiting.at(-1)?.event ?? this.#handled.get(connectionId);
    if (newest !== undefined && !isNewer(event, newest)) {
      done();
      return;
    }
    this.#options.resolver.note(event);
    const item = { event, origin, done: [done], isLost: false, abort: new AbortController() };
    if (lane === undefined) this.#open(connectionId, item);
    else {
      lane.items.push(item);
      lane.wake();
    }
  }

  /** Another member has this partition now: aborts the attempt under way and begins no other one. */
  lose(origin: string): void {
    for (const lane of this.#lanes.values()) {
      for (const item of lane.items) {
        if (item.origin !== origin) continue;
        item.isLost = true;
        item.abort.abort();
      }
      lane.wake();
    }
  }

  /** Begins no more attempts and waits for those under way; aborts them after `graceMs`. */
  async stop(graceMs: number, abortMs: number): Promise<void> {
    this.#halted = true;
    this.#turns.close();
    for (const lane of this.#lanes.values()) lane.wake();
    await this.#settled(graceMs);
    for (const lane of this.#lanes.values()) lane.items[0]?.abort.abort();
    await this.#settled(abortMs);
  }

  async #settled(ms: number): Promise<void> {
    const over = new AbortController();
    const limit = sleep(ms, undefined, { signal: over.signal }).catch(() => undefined);
    await Promise.race([Promise.all(this.#running), limit]);
    over.abort();
  }

  #open(connectionId: string, item: Item): void {
    const lane: Lane = { items: [item], wake: () => undefined };
    this.#lanes.set(connectionId, lane);
    const running = this.#run(connectionId, lane).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Runs until the lane is empty. There is no `await` between the last look at the items and the lane's removal. */
  async #run(connectionId: string, lane: Lane): Promise<void> {
    for (let item = lane.items[0]; item !== undefined && !this.#halted; item = lane.items[0]) {
      if (item.isLost || (await this.#deliver(item, lane))) lane.items.shift();
    }
    this.#lanes.delete(connectionId);
  }

  /** @returns whether the item is done: handled, given up, replaced, or lost */
  async #deliver(item: Item, lane: Lane): Promise<boolean> {
    for (let attempt = 1; ; attempt += 1) {
      if (!(await this.#turns.take())) return false;
      let outcome: Outcome;
      try {
        if (item.isLost) return true;
        outcome = this.#isHandled(item) ? HANDLED : await this.#attempt(item, attempt);
        const isOver =
          outcome.kind === 'failed' &&
          !hasNewer(item, lane) &&
          (await this.#isGivenUp(item, attempt, outcome.error));
        if (isOver) outcome = HANDLED;
      } finally {
        this.#turns.give();
      }
      if (outcome.kind === 'handled') {
        this.#finish(item);
        return true;
      }
      await this.#wait(item, lane, attempt);
      if (item.isLost) return true;
      if (this.#halted) return false;
      if (hasNewer(item, lane)) {
        this.#replace(item, lane, attempt);
        return true;
      }
    }
  }

  /** The newest event replaces the failing one and all between them: each is the full state. */
  #replace(item: Item, lane: Lane, attempts: number): void {
    const newest = lane.items.findLast(({ isLost }) => !isLost);
    this.#options.logger.warn(
      { ...namesOf(item.event), attempts, newest: newest?.event.revision },
      'handling failed and a newer event is there: it replaces this one',
    );
    for (const each of lane.items.splice(1)) {
      if (each === newest || each.isLost) lane.items.push(each);
      else this.#finish(each);
    }
    this.#finish(item);
  }

  /** Calls the hook. If that fails, the event is tried again. */
  async #isGivenUp({ event, isLost }: Item, attempts: number, error: unknown): Promise<boolean> {
    const { giveUp, logger } = this.#options;
    if (giveUp === undefined || attempts < giveUp.afterAttempts || isLost) return false;
    try {
      await giveUp.onGivenUp({ event: structuredClone(event), attempts, error });
      logger.error({ ...namesOf(event), attempts }, 'handling failed too often: given up');
      return true;
    } catch (hookError) {
      const fields = { ...namesOf(event), attempts, error: safeError(hookError) };
      logger.error(fields, 'the hook for what is given up failed: the event is tried again');
      return false;
    }
  }

  /** An attempt that went on after its partition was lost may have handled the event. */
  #isHandled({ event }: Pick<Item, 'event'>): boolean {
    const handled = this.#handled.get(event.connectionId);
    return handled !== undefined && !isNewer(event, handled);
  }

  #finish({ event, done }: Item): void {
    if (!this.#isHandled({ event })) {
      const { connectionId, generation, revision } = event;
      this.#handled.set(connectionId, { generation, revision });
    }
    for (const tell of done) tell();
  }

  async #attempt(item: Item, attempt: number): Promise<Outcome> {
    const { handler, resolver, logger } = this.#options;
    item.abort = new AbortController();
    const event = structuredClone(item.event);
    const delivery: SecuredDelivery = {
      event,
      entity: event.entity,
      attempt,
      signal: item.abort.signal,
      resolve: () => resolver.fill(item.event, { fresh: attempt > 1 }),
    };
    try {
      await handler(delivery);
      return HANDLED;
    } catch (error) {
      // A handler's error may quote the password that it connected with: safeError shows only class and places.
      logger.warn({ ...namesOf(event), attempt, error: safeError(error) }, 'handling failed');
      return { kind: 'failed', error };
    }
  }

  /** Waits for the back-off; ends early if the item is lost, the lane has a newer event, or all stops. */
  async #wait(item: Item, lane: Lane, attempt: number): Promise<void> {
    const until = performance.now() + backoffMs(attempt, this.#options.backoff);
    for (;;) {
      const leftMs = until - performance.now();
      if (leftMs <= 0 || this.#halted || item.isLost || hasNewer(item, lane)) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        lane.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      lane.wake = () => undefined;
    }
  }
}

function hasNewer(item: Item, lane: Lane): boolean {
  return lane.items.some((each) => each !== item && !each.isLost);
}

function namesOf({ connectionId, generation, revision }: SecuredEvent) {
  return { connectionId, generation, revision };
}
