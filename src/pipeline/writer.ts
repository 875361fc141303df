import { createHmac } from 'node:crypto';
import { EventError, WorkerError } from '../errors.js';
import type { SecretValue } from '../secret-value.js';
import type { PutItem, StoreCall, StoreError, StoreResult, Stored } from '../secrets-managers/port.js';
import type { Claim } from './claim.js';
import type { PlanContext } from './context.js';
import type { LockedState } from './ledger.js';
import type { WritePlan } from './plan.js';

/** How the store took an event's values. */
export type WriteResult =
  | { readonly kind: 'written'; readonly stored: ReadonlyMap<string, Stored> }
  /** The event can not be processed as it is. */
  | { readonly kind: 'refused'; readonly error: EventError }
  /** The store denies some ids and grants others. */
  | { readonly kind: 'denied'; readonly detail: string }
  /**
   * Passing. `outcomeKnown`: nothing of it can still be on its way, the claim may be released; else it has to run out.
   */
  | { readonly kind: 'failed'; readonly error: WorkerError; readonly outcomeKnown: boolean };

type PlannedWrite = WritePlan['writes'][number];

export interface WriteRequest {
  readonly writes: readonly PlannedWrite[];
  readonly claim: Claim;
  readonly state: LockedState;
  /** What the idempotency tokens are bound to besides path and epoch: the event, the operation. */
  readonly purpose: string;
}

/** How recently the store must have granted a write for a denial to count as one id's. */
const GRANTED_WITHIN_MS = 60_000;

/** Puts the values of one plan into the store: reads copies first, then creates, then changes. */
export class Writer {
  readonly #context: PlanContext;
  #lastGrantedMs = -Infinity;

  constructor(context: PlanContext) {
    this.#context = context;
  }

  async write(request: WriteRequest, call: StoreCall): Promise<WriteResult> {
    const sources = await this.#readSources(request, call);
    if (sources.kind !== 'read') return sources;
    const ordered = [...request.writes].sort((left, right) => Number(left.known) - Number(right.known));
    const items = ordered.map((write) => this.#putItem(write, request, sources.values));
    const results: StoreResult<Stored>[] = [];
    try {
      for (const group of [items.filter((item) => !item.known), items.filter((item) => item.known)])
        if (group.length > 0 && !results.some((result) => !result.ok))
          results.push(...(await this.#context.manager.store.put(group, call)));
    } catch (error) {
      // Results of requests that were under way beside the one that was not admitted are lost with it.
      if (error instanceof WorkerError && error.retryable)
        return { kind: 'failed', error, outcomeKnown: false };
      throw error;
    }
    return this.#judge(items, results);
  }

  /** The values of what is copied, in their recorded versions, before anything is written. */
  async #readSources(
    { writes, state }: WriteRequest,
    call: StoreCall,
  ): Promise<{ kind: 'read'; values: ReadonlyMap<string, SecretValue> } | WriteResult> {
    const values = new Map<string, SecretValue>();
    const copies = writes.filter(({ source }) => source.kind === 'copy');
    if (copies.length === 0) return { kind: 'read', values };
    const results = await this.#context.manager.store.get(
      copies.map(({ source }) => {
        const { reference, secretId } = source as Extract<PlannedWrite['source'], { kind: 'copy' }>;
        const version = state.stored.find((row) => row.secretId === secretId)?.version;
        return version == null ? { reference } : { reference, version };
      }),
      call,
    );
    for (const [index, { path, secretId }] of copies.entries()) {
      const result = results[index];
      if (result?.ok) values.set(secretId, result.value.value);
      else if (result !== undefined) return unreadable(path, result.error);
    }
    return { kind: 'read', values };
  }

  #putItem(
    { secretId, path, source, known, formerOwner }: PlannedWrite,
    { claim, purpose }: WriteRequest,
    copied: ReadonlyMap<string, SecretValue>,
  ): PutItem {
    const value = source.kind === 'text' ? source.value : copied.get(secretId);
    if (value === undefined) throw new TypeError(`no value was read for ${secretId}`);
    return {
      secretId,
      value,
      connectionId: claim.connectionId,
      known,
      clientToken: clientToken(this.#context.fingerprintKey, purpose, path, claim.epoch),
      adopt: this.#context.rules.adopt,
      ...(formerOwner === null ? {} : { takeOverFrom: formerOwner }),
    };
  }

  #judge(items: readonly PutItem[], results: readonly StoreResult<Stored>[]): WriteResult {
    const errors: StoreError[] = [];
    const stored = new Map<string, Stored>();
    results.forEach((result, index) => {
      if (result.ok) stored.set(items[index]?.secretId ?? '', result.value);
      else errors.push(result.error);
    });
    if (stored.size > 0) this.#lastGrantedMs = performance.now();
    const worst = errors.find((error) => error.class === 'transient') ?? errors[0];
    if (worst === undefined) return { kind: 'written', stored };
    return this.#judgeError(worst, results.every(isKnown));
  }

  #judgeError(error: StoreError, outcomeKnown: boolean): WriteResult {
    switch (error.class) {
      case 'conflict':
      case 'invalid':
        if (error.code === 'SECRET_NOT_OWNED' || error.code === 'VALUE_REFUSED_BY_STORE')
          return { kind: 'refused', error: new EventError(error.code, error.message) };
        break;
      case 'access':
        if (performance.now() - this.#lastGrantedMs < GRANTED_WITHIN_MS)
          return { kind: 'denied', detail: error.message };
        return { kind: 'failed', error: new WorkerError('STORE_ACCESS', error.message), outcomeKnown };
      case 'credentials':
        return { kind: 'failed', error: new WorkerError('STORE_ACCESS', error.message), outcomeKnown };
      case 'not-found':
      case 'quota':
      case 'transient':
        break;
    }
    return { kind: 'failed', error: new WorkerError('STORE_UNAVAILABLE', error.message), outcomeKnown };
  }
}

function unreadable(path: string, error: StoreError): WriteResult {
  if (error.class === 'not-found')
    return {
      kind: 'refused',
      error: new EventError('SECRET_VERSION_GONE', `${path}: the recorded version is not in the store`, path),
    };
  const isAccess = error.class === 'access' || error.class === 'credentials';
  const code = isAccess ? 'STORE_ACCESS' : 'STORE_UNAVAILABLE';
  return { kind: 'failed', error: new WorkerError(code, error.message), outcomeKnown: true };
}

function isKnown(result: StoreResult<Stored>): boolean {
  return result.ok || result.error.applied === 'no';
}

/**
 * 64 hexadecimal digits; contains the claim's epoch (a redelivered write of a later claim must be a write) and never the
 * value alone.
 */
function clientToken(key: Buffer, purpose: string, path: string, epoch: number): string {
  return createHmac('sha256', key)
    .update(JSON.stringify(['client-token', purpose, path, epoch]))
    .digest('hex');
}
