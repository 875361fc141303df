import type { Decoded } from '../events/decode.js';
import { isConnectionId } from '../events/fields.js';
import type { SourceRecord } from '../terms.js';
import type { Outlet } from '../transport.js';
import type { PlanContext } from './context.js';
import type { DeadLetterHead, Ledger } from './ledger.js';
import { openOutgoing } from './outbox.js';
import { prepareEvent } from './prepare.js';
import {
  recordHash,
  isSettled,
  keptBare,
  refusal,
  unprocessed,
  unstorable,
  withoutPayload,
  type Unprocessed,
} from './unprocessed.js';
import type { UnderClaim } from './under-claim.js';
import { WorkerError, type EventError } from '../errors.js';

type Undecodable = Extract<Decoded, { kind: 'undecodable' }>;

/** The connection that an undecodable record belongs to. Null: not known. */
export function connectionOf({ connectionId, key }: Undecodable): string | null {
  return connectionId ?? (key !== null && isConnectionId(key) ? key : null);
}

/** Makes dead letters of records that are no events; if the connection is known, under its claim. */
export class UndecodableProcessor {
  readonly #context: PlanContext;
  readonly #ledger: Ledger;
  readonly #outlet: Outlet;
  readonly #underClaim: UnderClaim;

  constructor(context: PlanContext, ledger: Ledger, outlet: Outlet, underClaim: UnderClaim) {
    this.#context = context;
    this.#ledger = ledger;
    this.#outlet = outlet;
    this.#underClaim = underClaim;
  }

  /**
   * Returns the hash under which the dead letter is kept. A record that a later event has superseded is a duplicate.
   *
   * @param before its kept row, where this is a retry
   */
  async process(
    decoded: Undecodable,
    record: SourceRecord,
    nowMs: number,
    before?: DeadLetterHead,
  ): Promise<{ readonly outcome: 'refused' | 'duplicate'; readonly eventHash: string }> {
    const connectionId = connectionOf(decoded);
    const { untimed } = decoded;
    const event: Unprocessed = {
      // A record that is kept without its payload would hash differently, so it keeps its hash.
      eventHash:
        before !== undefined && record.unread !== undefined
          ? before.eventHash
          : recordHash(record, this.#context.fingerprintKey),
      digests: null,
      record,
      connectionId,
      eventId: decoded.eventId,
      actor: untimed?.actor ?? null,
      order: { publishedAtMs: record.timestampMs, ...(record.digest === undefined ? {} : { isLine: true }) },
      // An event without a time has no order, but the fields that it was to set are known.
      sets: untimed === undefined ? null : unprocessed(prepareEvent(untimed, record, this.#context)).sets,
    };
    const { eventHash } = event;
    const keep = (unkept: Unprocessed, error: EventError): Promise<'refused' | 'duplicate'> =>
      connectionId === null
        ? this.#keepAlone(unkept, error, nowMs)
        : this.#keepWithConnection(unkept, connectionId, error);
    try {
      return { outcome: await keep(event, decoded.error), eventHash };
    } catch (error) {
      const refusal = unstorable(error);
      if (refusal === null) throw error;
      const bare = { ...event, record: withoutPayload(record, this.#context.fingerprintKey) };
      return { outcome: await keep(bare, keptBare(refusal, record)), eventHash };
    }
  }

  async #keepWithConnection(
    event: Unprocessed,
    connectionId: string,
    error: EventError,
  ): Promise<'refused' | 'duplicate'> {
    const done = await this.#underClaim.run({
      connectionId,
      eventHash: event.eventHash,
      secretIds: () => [],
      keptEvents: 'none',
      decide: (state) =>
        isSettled(state)
          ? // A later event has superseded it.
            {
              kind: state.hasUnsent ? 'commit' : 'settle',
              outcome: { name: 'duplicate', code: null },
              changes: {},
            }
          : {
              kind: 'commit',
              outcome: { name: 'refused', code: error.code },
              changes: refusal(event, error, state.nowMs, state.deadLetters, this.#context),
            },
    });
    if (done.kind === 'busy')
      throw new WorkerError('CLAIM_LOST', `connection ${connectionId} is claimed by another worker`);
    if (done.kind === 'committed' && done.unpublished !== null) throw done.unpublished;
    return 'outcome' in done && done.outcome.name === 'duplicate' ? 'duplicate' : 'refused';
  }

  async #keepAlone(event: Unprocessed, error: EventError, nowMs: number): Promise<'refused'> {
    const { outbox = [] } = await this.#ledger.keep(event.eventHash, (known) =>
      refusal(event, error, nowMs, known === null ? [] : [known], this.#context),
    );
    const rows = openOutgoing(outbox, this.#context.rings.outbox, () => undefined);
    if (rows.length === 0) return 'refused';
    await this.#outlet.send(rows.map(({ record }) => record));
    await this.#ledger.markSent(rows.flatMap(({ id }) => id ?? []));
    return 'refused';
  }
}
