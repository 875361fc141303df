import type { ReferenceRow, StoredSecretRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import {
  judgeReference,
  MAX_REFERENCE_LENGTH,
  readingsOf,
  type SecretIdBuilder,
  type Verdict,
} from '../ids/index.js';
import type { PlanContext } from './context.js';
import { externalIdOf } from './references.js';

/** A reference that may not go out, and why. */
export interface ReferenceRefusal {
  readonly secretId: string;
  readonly code: 'REFERENCE_INVALID' | 'REFERENCE_FOREIGN' | 'REFERENCE_NOT_ALLOWED';
  /** Goes on after the name of the field. */
  readonly why: string;
}

/** What ids of ours begin with. */
export type OwnNames = Pick<SecretIdBuilder, 'ownPrefix' | 'ownPrefixes'>;

/** Whose a name is: rows of other connections, asked for with all readings of what is judged. */
export type OthersSecrets = readonly Pick<StoredSecretRow, 'secretId' | 'state'>[];

export function isAmong(others: OthersSecrets, secretId: string): boolean {
  return others.some((row) => row.secretId === secretId && row.state !== 'deleted');
}

/** Judges a reference that is not this connection's own; null: it may go out. */
export function refusalOf(
  secretId: string,
  others: OthersSecrets,
  { ownPrefix, ownPrefixes }: OwnNames,
  allowedPrefixes: readonly string[],
): ReferenceRefusal | null {
  const holders = { isOwn: () => false, isOthers: (name: string) => isAmong(others, name) };
  const verdict = judgeReference(secretId, holders, { ownPrefixes, allowedPrefixes });
  const refused = REFUSALS[verdict];
  return refused === null ? null : { secretId, ...refused, why: refused.why.replace('…', ownPrefix) };
}

/**
 * Judges what was taken in before, maybe by a version that judged less: it goes out again only if it would be taken in
 * now. The list of allowed prefixes is for what comes in.
 */
export function refusalOfStored(
  row: ReferenceRow,
  others: OthersSecrets,
  { ids, rings }: { readonly ids: OwnNames; readonly rings: { readonly database: Opener } },
): ReferenceRefusal | null {
  const secretId = externalIdOf(row, rings.database);
  return secretId === null ? null : refusalOf(secretId, others, ids, []);
}

type Opener = Pick<PlanContext['rings']['database'], 'open'>;

/** The names whose owners {@link refusalOfStored} has to know: what readers make of users' references. */
export function readingsOfStored(references: readonly ReferenceRow[], database: Opener): string[] {
  return references.flatMap((row) => {
    const external = externalIdOf(row, database);
    return external === null ? [] : readingsOf(external);
  });
}

/** @throws EventError naming the field, where there is a refusal */
export function throwRefusal(refusal: ReferenceRefusal | null, pointer: string): void {
  if (refusal !== null) throw new EventError(refusal.code, `${pointer} ${refusal.why}`, pointer);
}

const REFUSALS: Readonly<Record<Verdict, Omit<ReferenceRefusal, 'secretId'> | null>> = {
  owned: null,
  external: null,
  invalid: {
    code: 'REFERENCE_INVALID',
    why: `holds a reference that readers can take for different names: at most ${MAX_REFERENCE_LENGTH} characters of A-Z a-z 0-9 / _ + = . @ ! # : - and no secret: inside, but for a whole ARN`,
  },
  foreign: {
    code: 'REFERENCE_FOREIGN',
    why: 'refers to a secret of another connection, or to a name under a prefix that this worker has or had (now …)',
  },
  'not-allowed': {
    code: 'REFERENCE_NOT_ALLOWED',
    why: 'refers to a name outside of ALLOWED_REFERENCE_PREFIXES',
  },
};
