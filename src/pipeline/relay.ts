import { EventError, type WorkerError } from '../errors.js';
import type { Outlet } from '../transport.js';
import type { ClaimRequest, Decision, Ledger, LockedState } from './ledger.js';
import { isFinal, refusedRow } from './newest.js';
import {
  openOutgoing,
  type Opened,
  readingsOfState,
  recordOrRefusal,
  type SecuredContext,
} from './outbox.js';
import type { Chosen, Done, UnderClaim, Unsent } from './under-claim.js';

/** How many connections one round publishes at most. */
const ROUND_LIMIT = 200;

export interface RelayParts {
  readonly ledger: Ledger;
  readonly underClaim: UnderClaim;
  readonly outlet: Outlet;
  readonly context: SecuredContext;
  readonly onUnpublished?: (error: WorkerError) => void;
}

/**
 * Publishes what is committed and unsent: a worker was killed, or the broker was unreachable. It takes each connection's
 * claim and sends all of the connection's records in order.
 */
export class Relay {
  readonly #parts: RelayParts;

  constructor(parts: RelayParts) {
    this.#parts = parts;
  }

  /** One round; returns how many records it published. Rejects with a `transient` WorkerError. */
  async run(signal: AbortSignal): Promise<number> {
    const { ledger, outlet } = this.#parts;
    const { connectionIds, rows } = await ledger.unsent(ROUND_LIMIT);
    let published = 0;
    const opened = this.#open(rows);
    if (opened.length > 0) {
      await outlet.send(opened.map(({ record }) => record));
      await ledger.markSent(opened.flatMap(({ id }) => id ?? []));
      published += opened.length;
    }
    for (const connectionId of connectionIds) {
      if (signal.aborted) break;
      published += await this.#publishConnection(connectionId);
    }
    return published;
  }

  async #publishConnection(connectionId: string): Promise<number> {
    let isAllJudged = true;
    const published = await this.#publish(
      { connectionId, secretIds: () => [], decide: publishUnsent },
      (unsent) => {
        isAllJudged = unsent.opened.every(isJudged);
        return { send: unsent.opened.filter(isJudged) };
      },
    );
    return isAllJudged ? published : published + (await this.#judge(connectionId));
  }

  /**
   * Checks secured events that an earlier version made. The one of the present revision describes the stored state, so it
   * is sent if that state passes the checks. Older ones are not sent: their states are gone, and the present one is newer.
   */
  async #judge(connectionId: string): Promise<number> {
    const { context, onUnpublished } = this.#parts;
    let refusal: EventError | null = null;
    let revision = 0;
    const request: RelayRequest = {
      connectionId,
      secretIds: (connection, references) => readingsOfState(connection, references, context),
      decide: (state) => {
        const record = recordOrRefusal(state.connection, state, context);
        refusal = record instanceof EventError ? record : null;
        revision = state.connection.revision;
        return isFinal(refusal) ? refuseUnsent(state, refusal) : publishUnsent(state);
      },
    };
    return this.#publish(request, ({ opened }) => {
      const unjudged = opened.filter((record) => !isJudged(record));
      if (refusal === null)
        return { send: unjudged.filter((record) => record.revision === revision), done: unjudged };
      onUnpublished?.(refusal);
      return { send: [], done: isFinal(refusal) ? unjudged : [] };
    });
  }

  /** Returns how many records it published: none if another worker holds the claim, or nothing is unsent. */
  async #publish(request: RelayRequest, choose: (unsent: Unsent) => Chosen): Promise<number> {
    const { underClaim } = this.#parts;
    const done: Done = await underClaim.run(
      { ...request, eventHash: null, keptEvents: 'none' },
      undefined,
      choose,
    );
    if (done.kind !== 'committed') return 0;
    if (done.unpublished !== null) throw done.unpublished;
    return done.published;
  }

  #open(rows: Parameters<typeof openOutgoing>[0]): Opened[] {
    const { context, onUnpublished = () => undefined } = this.#parts;
    return openOutgoing(rows, context.rings.outbox, onUnpublished);
  }
}

type RelayRequest = Pick<ClaimRequest<never>, 'connectionId' | 'secretIds' | 'decide'>;

const OUTCOME = { name: 'duplicate', code: null } as const;

function publishUnsent({ hasUnsent }: LockedState): Decision<never> {
  return { kind: hasUnsent ? 'commit' : 'settle', outcome: OUTCOME, changes: {} };
}

function refuseUnsent(state: LockedState, refusal: EventError): Decision<never> {
  const decision = publishUnsent(state);
  return decision.kind === 'commit'
    ? { ...decision, changes: { audit: [refusedRow(state, refusal)] } }
    : decision;
}

function isJudged(record: Opened): boolean {
  return record.isJudged;
}
