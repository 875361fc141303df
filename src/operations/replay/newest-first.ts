import { decodeRecord, type SourceTopics } from '../../events/decode.js';
import { compareEvents } from '../../events/order.js';
import type { PlanContext } from '../../pipeline/context.js';
import { setsField, prepareEvent, type PreparedEvent } from '../../pipeline/prepare.js';
import type { SourceRecord } from '../../terms.js';
import type { RecordSink } from '../../transport.js';
import type { Progress } from '../progress.js';
import { ReplayPositions } from './positions.js';
import { readAgain, type ReadAgainOptions } from './read-again.js';

/** What is kept of an event while the records are looked through. */
interface Seen extends Pick<PreparedEvent, 'order'> {
  readonly eventType: PreparedEvent['event']['eventType'];
  readonly place: string;
}

/** Of one connection: its newest event, the fields that this one masks, and for each field the newest event that sets it. */
interface Newest {
  readonly event: Seen;
  readonly masked: readonly string[];
  readonly setters: Map<string, Seen>;
}

/**
 * Which records say what the connections are now: the newest event of each, and for a field that it masks the newest one
 * that sets it. Everything older changes nothing once these are applied. Takes about a kilobyte of memory a connection.
 */
export class NewestRecords {
  readonly #context: PlanContext;
  readonly #topics: SourceTopics;
  readonly #connections = new Map<string, Newest>();
  /** Records that cannot be read: a later state supersedes their dead letters, so they go before it. */
  readonly #unread = new Set<string>();

  constructor(context: PlanContext, topics: SourceTopics) {
    this.#context = context;
    this.#topics = topics;
  }

  /** Looks at a record. In any order. */
  note(record: SourceRecord): void {
    const decoded = decodeRecord(record, this.#topics, Date.now());
    if (decoded.kind === 'undecodable') this.#unread.add(placeOf(record));
    if (decoded.kind !== 'event') return;
    const prepared = prepareEvent(decoded.event, record, this.#context);
    // It becomes a dead letter, whatever the others are.
    if (prepared.error === null) this.#noteEvent(prepared, placeOf(record));
  }

  #noteEvent({ event, order, fields }: PreparedEvent, place: string): void {
    const { connectionId, eventType } = event;
    const seen = { order, eventType, place };
    const masked = (fields ?? []).flatMap(({ path, incoming }) => (incoming.kind === 'mask' ? [path] : []));
    const known = this.#connections.get(connectionId);
    const setters = known?.setters ?? new Map<string, Seen>();
    if (isNewer(seen, known?.event)) this.#connections.set(connectionId, { event: seen, masked, setters });
    for (const { path, incoming } of fields ?? [])
      if (setsField(incoming) && isNewer(seen, setters.get(path))) setters.set(path, seen);
  }

  /** Places of the records to be handled first. */
  places(): ReadonlySet<string> {
    const places = new Set(this.#unread);
    for (const { event, masked, setters } of this.#connections.values()) {
      places.add(event.place);
      for (const path of masked) {
        const setter = setters.get(path);
        if (setter !== undefined) places.add(setter.place);
      }
    }
    return places;
  }
}

function isNewer(seen: Seen, known: Seen | undefined): boolean {
  return known === undefined || compareEvents(seen, known) > 0;
}

function placeOf({ topic, partition, offset }: SourceRecord): string {
  return `${topic}|${partition}|${offset}`;
}

/** Reads the chosen records so often. */
const PASSES = 3;

/**
 * As {@link readAgain}, but what the connections are now comes first: a rebuild from the topics writes no password that was
 * replaced long ago. The records are read three times: to find the newest, to handle them, which is what the positions
 * tell, and to handle the others, which are stale by then. An interrupted replay begins anew with the first and the last.
 *
 * @returns whether every record was handled
 */
export async function readNewestFirst(
  options: ReadAgainOptions & { readonly context: PlanContext },
): Promise<boolean> {
  const { positions, handler, context, topics, signal, progress } = options;
  const newest = new NewestRecords(context, topics);
  const look: RecordSink = {
    handle: (record) => {
      newest.note(record);
      return Promise.resolve();
    },
  };
  await readAgain({ ...options, ...fromTheBeginning(positions), handler: look, progress: part(progress, 0) });
  if (signal.aborted) return false;
  const first = newest.places();
  const only = (wanted: boolean): RecordSink => ({
    handle: (record, stop) =>
      first.has(placeOf(record)) === wanted ? handler.handle(record, stop) : Promise.resolve(),
  });
  await readAgain({ ...options, handler: only(true), progress: part(progress, 1) });
  if (!positions.isDone) return false;
  const rest = fromTheBeginning(positions);
  await readAgain({ ...options, ...rest, handler: only(false), progress: part(progress, 2) });
  return rest.positions.isDone;
}

/** The same records, all of them. Only the pass whose positions are noted down counts anything. */
function fromTheBeginning(
  positions: ReplayPositions,
): Pick<ReadAgainOptions, 'positions' | 'onPositions' | 'onSkipped' | 'onDeleted'> {
  return {
    positions: new ReplayPositions(positions.list().map((one) => ({ ...one, position: one.from }))),
    onPositions: () => Promise.resolve(),
    onSkipped: () => undefined,
    onDeleted: () => undefined,
  };
}

/** One pass as its part of the whole. */
function part(progress: Progress, pass: number): Progress {
  return {
    report: ({ done, total, failed }) => {
      const all = total === null ? null : total * PASSES;
      progress.report({ done: done + pass * (total ?? 0), total: all, failed });
    },
  };
}
