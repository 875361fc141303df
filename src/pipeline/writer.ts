import { createHmac } from 'node:crypto';
import { EventError, WorkerError } from '../errors.js';
import { valueViolation } from '../secrets-managers/limits.js';
import type { SecretValue } from '../secret-value.js';
import type { PutItem, StoreCall, StoreError, StoreResult, Stored } from '../secrets-managers/port.js';
import type { Claim } from './claim.js';
import type { PlanContext } from './context.js';
import { readCopies, type Copy } from './copy-reader.js';
import type { PlannedSealing } from './new-references.js';
import { toReference } from './references.js';
import type { ReadyWrite, Written } from './state-plan.js';

/** How the store took an event's values. */
export type WriteResult =
  | { readonly kind: 'written'; readonly written: Written }
  /** The event can not be processed as it is. */
  | { readonly kind: 'refused'; readonly error: EventError }
  /** The store denies some ids and grants others. */
  | { readonly kind: 'denied'; readonly detail: string }
  /**
   * Passing. `outcomeKnown`: nothing of it can still be on its way, the claim may be released; else it has to run out.
   */
  | { readonly kind: 'failed'; readonly error: WorkerError; readonly outcomeKnown: boolean };

export interface WriteRequest {
  readonly writes: readonly ReadyWrite[];
  /** Only read: their values stay with us. */
  readonly sealings: readonly PlannedSealing[];
  readonly claim: Claim;
  /** What the idempotency tokens are bound to besides path and epoch: the event, the operation. */
  readonly purpose: string;
}

/** How recently the store must have granted a write for a denial to count as one id's. */
const GRANTED_WITHIN_MS = 60_000;

/** Puts the values of one plan into the store: reads copies first, then creates, then changes, then reads copies back. */
export class Writer {
  readonly #context: PlanContext;
  #lastGrantedMs = -Infinity;

  constructor(context: PlanContext) {
    this.#context = context;
  }

  async write(request: WriteRequest, call: StoreCall): Promise<WriteResult> {
    const read = await readCopies(copiesOf(request), this.#context, call);
    if (read.kind === 'failed') return { ...read, outcomeKnown: true };
    const error = read.kind === 'refused' ? read.error : this.#beyondLimits(request, read.values);
    if (read.kind === 'refused' || error !== null) return { kind: 'refused', error: error as EventError };
    const ordered = [...request.writes].sort((left, right) => Number(left.known) - Number(right.known));
    const items = ordered.map((write) => this.#putItem(write, request, read.values));
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
    const judged = this.#judge(items, results);
    if (judged.kind !== 'written') return judged;
    const unequal = await this.#readBack(request, judged.written.stored, read.values, call);
    return unequal ?? { kind: 'written', written: { ...judged.written, values: read.values } };
  }

  /** What is copied was measured by another store's limits. */
  #beyondLimits({ writes }: WriteRequest, copied: ReadonlyMap<string, SecretValue>): EventError | null {
    const { limits, provider } = this.#context.manager;
    for (const { path, secretId } of writes) {
      const value = copied.get(path);
      const violation = value === undefined ? null : valueViolation(limits, secretId, value);
      if (violation !== null)
        return new EventError(violation.code, `${path}: ${violation.message} (${provider})`, path);
    }
    return null;
  }

  /** Nobody has a second copy once the old one is deleted: each is read back and compared before the commit. */
  async #readBack(
    { writes }: WriteRequest,
    stored: ReadonlyMap<string, Stored>,
    copied: ReadonlyMap<string, SecretValue>,
    call: StoreCall,
  ): Promise<WriteResult | null> {
    const copies = writes.filter(({ source }) => source.kind === 'copy');
    if (copies.length === 0) return null;
    const { store, provider } = this.#context.manager;
    const items = copies.map(({ secretId }) => {
      const version = stored.get(secretId)?.version;
      return { reference: toReference(secretId), ...(version === undefined ? {} : { version }) };
    });
    const results = await store.get(items, call);
    const isSame = copies.every(({ path }, index) => {
      const result = results[index];
      const value = copied.get(path);
      return result?.ok === true && value !== undefined && result.value.value.equals(value);
    });
    if (isSame) return null;
    const message = `${provider}: a copied value could not be read back as it was written`;
    return { kind: 'failed', error: new WorkerError('STORE_UNAVAILABLE', message), outcomeKnown: true };
  }

  #putItem(
    { secretId, path, source, known, formerOwner }: ReadyWrite,
    { claim, purpose }: WriteRequest,
    copied: ReadonlyMap<string, SecretValue>,
  ): PutItem {
    const value = source.kind === 'text' ? source.value : copied.get(path);
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
    if (worst === undefined) return { kind: 'written', written: { stored, values: new Map() } };
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

function copiesOf({ writes, sealings }: WriteRequest): Copy[] {
  const copies = writes.flatMap(({ path, source }) =>
    source.kind === 'copy' ? [{ path, from: source.from }] : [],
  );
  return [...copies, ...sealings];
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
