/**
 * The faults of the stand-in. With `…-after` it carries out the operation first. If the service itself refuses the
 * operation (a secret to create exists already), the client gets that answer, and the fault waits for the next request.
 *
 * - `error`: answers with the error `name` and `status` (400); carries nothing out
 * - `deny`: AccessDeniedException, separately for each id of an operation
 * - `server-error`, `server-error-after`: 500 InternalServiceError
 * - `drop`, `drop-after`: closes the connection instead of answering
 * - `hang`, `hang-after`: never answers
 * - `empty`, `empty-after`: 200 with `{}`, as a proxy or a poor emulator may answer
 * - `delay`: carries out and answers `delayMs` later, even if the client has gone meanwhile (a late request)
 * - `slow-answer`: carries out at once and answers `delayMs` later
 */
export const FAULT_KINDS = [
  'error',
  'deny',
  'server-error',
  'server-error-after',
  'drop',
  'drop-after',
  'hang',
  'hang-after',
  'empty',
  'empty-after',
  'delay',
  'slow-answer',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Fault {
  readonly kind: FaultKind;
  readonly service?: 'secretsmanager' | 'ssm';
  /** Default: every operation. */
  readonly operation?: string;
  /** An id, or the beginning of ids with a `*` behind it. Default: every id. */
  readonly secretId?: string;
  /** How many matching requests it hits. Default: all. */
  readonly times?: number;
  /** How many matching requests it lets pass first. Default: none. */
  readonly skip?: number;
  readonly name?: string;
  readonly status?: number;
  readonly delayMs?: number;
  /** It hits only requests signed with this key. Default: all. */
  readonly accessKeyId?: string;
}

export interface RequestFacts {
  readonly service: 'secretsmanager' | 'ssm';
  readonly operation: string;
  readonly ids: readonly string[];
  /** The key that signed it; null if none did. */
  readonly accessKeyId: string | null;
}

/** Of another stand-in, which is one service. */
type AnyFacts = Omit<RequestFacts, 'service'> & { readonly service: string };

/** A fault that hits a request. `id` is the one that {@link FaultScript.arm} returned. */
export interface Hit {
  readonly id: number;
  readonly fault: Fault;
}

interface Armed extends Hit {
  skip: number;
  times: number;
}

function idMatches(pattern: string | undefined, id: string): boolean {
  if (pattern === undefined || pattern === id) return true;
  return pattern.endsWith('*') && id.startsWith(pattern.slice(0, -1));
}

function matches(fault: Fault, facts: AnyFacts): boolean {
  if (fault.service !== undefined && fault.service !== facts.service) return false;
  if (fault.operation !== undefined && fault.operation !== facts.operation) return false;
  if (fault.accessKeyId !== undefined && fault.accessKeyId !== facts.accessKeyId) return false;
  return fault.secretId === undefined || facts.ids.some((id) => idMatches(fault.secretId, id));
}

/** The armed faults in their order. The first one that matches a request hits it. */
export class FaultScript {
  #armed: Armed[] = [];
  #lastId = 0;

  arm(fault: Fault): number {
    this.#lastId += 1;
    this.#armed.push({
      id: this.#lastId,
      fault,
      skip: fault.skip ?? 0,
      times: fault.times ?? Number.POSITIVE_INFINITY,
    });
    return this.#lastId;
  }

  disarm(id?: number): void {
    this.#armed = id === undefined ? [] : this.#armed.filter((armed) => armed.id !== id);
  }

  list(): Hit[] {
    return this.#armed.map(({ id, fault }) => ({ id, fault }));
  }

  /** Whether the fault may still hit a request. */
  isArmed(id: number): boolean {
    return this.#armed.some((armed) => armed.id === id && armed.times > 0);
  }

  /** The fault that hits this request; counts the hit. Leaves out `deny`, for which {@link denies} looks at each id. */
  next(facts: AnyFacts): Hit | null {
    for (const armed of this.#armed) {
      if (armed.fault.kind === 'deny' || armed.times <= 0 || !matches(armed.fault, facts)) continue;
      if (armed.skip > 0) {
        armed.skip -= 1;
        continue;
      }
      armed.times -= 1;
      return armed;
    }
    return null;
  }

  /** Takes a hit back: the fault is for the next request that matches. */
  giveBack({ id }: Hit): void {
    for (const armed of this.#armed) if (armed.id === id) armed.times += 1;
  }

  denies(facts: AnyFacts, id: string): boolean {
    return this.#armed.some(
      ({ fault }) =>
        fault.kind === 'deny' &&
        matches({ ...fault, secretId: '*' }, { ...facts, ids: [id] }) &&
        idMatches(fault.secretId, id),
    );
  }
}
