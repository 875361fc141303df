/**
 * The one judge of references: whether a connection may name this secret. Everybody who takes a reference in asks it, and
 * everybody who sends a stored one out again.
 *
 * A reference is dangerous by what some reader makes of it, not by how it is written. So it is judged in every reading
 * that a known reader or store has ({@link readingsOf}), and refused where no two readers need agree.
 */

/**
 * `owned`: this connection's own. `invalid`: not every reader reads the same in it. `foreign`: another connection's, or
 * under a prefix of ours. `not-allowed`: outside of `ALLOWED_REFERENCE_PREFIXES`. `external`: a user's own business.
 */
export type Verdict = 'owned' | 'invalid' | 'foreign' | 'not-allowed' | 'external';

/** Who has a name, as far as the database knows. */
export interface Holders {
  /** By the id exactly as we write it. */
  isOwn(secretId: string): boolean;
  /** Asked for each of {@link readingsOf}. */
  isOthers(secretId: string): boolean;
}

export interface JudgeRules {
  /** What our ids begin with, and began with before: of every cluster name, prefix and style that was ever in use. */
  readonly ownPrefixes: readonly string[];
  /** Empty: no list. */
  readonly allowedPrefixes: readonly string[];
}

/** Characters. The longest ARN of a name that any store takes is shorter. */
export const MAX_REFERENCE_LENGTH = 2_048;

/** Ownership comes before the list: a prefix that somebody allows gives no access to a connection's own secrets. */
export function judgeReference(secretId: string, holders: Holders, rules: JudgeRules): Verdict {
  if (holders.isOwn(secretId)) return 'owned';
  if (!isReadAlike(secretId)) return 'invalid';
  const readings = readingsOf(secretId);
  if (readings.some((reading) => holders.isOthers(reading) || isUnder(reading, rules.ownPrefixes)))
    return 'foreign';
  const { allowedPrefixes } = rules;
  return allowedPrefixes.length === 0 || isAllowedReference(secretId, allowedPrefixes)
    ? 'external'
    : 'not-allowed';
}

/**
 * Names that stores have. What is outside of them, readers change on the way: white space is trimmed, percent signs are
 * decoded, letters outside of ASCII have several forms.
 */
const NAME = /^[A-Za-z0-9/_+=.@!#:-]+$/;
/** Its name has no colon: what follows one would be a JSON key or a version of another reader's. */
const SECRETS_MANAGER_ARN =
  /^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:(?<name>[A-Za-z0-9/_+=.@!#-]+)$/;
const PARAMETER_ARN = /^arn:aws[a-z-]*:ssm:[a-z0-9-]+:\d{12}:parameter(?<name>\/[A-Za-z0-9/_.:-]+)$/;

/**
 * Whether all readers see one name. OpenMetadata's Python reader removes every `secret:`, wherever it stands: what is
 * left may be anything, but for a whole ARN of Secrets Manager, which it breaks.
 */
function isReadAlike(secretId: string): boolean {
  if (secretId.length > MAX_REFERENCE_LENGTH || !NAME.test(secretId)) return false;
  if (SECRETS_MANAGER_ARN.test(secretId)) return true;
  if (/secrets?:/i.test(secretId)) return false;
  return !/^arn:/i.test(secretId) || PARAMETER_ARN.test(secretId);
}

/**
 * The names that a store may be asked for by this id: as it is; the name within an ARN, with and without the six
 * characters that Secrets Manager puts behind a name; without a version or label behind a colon; the secret that
 * Parameter Store reads through `/aws/reference/secretsmanager/`; each as a path from the root, with dots resolved and
 * empty levels dropped, and in small letters, too. None of what is too long to be a name.
 */
export function readingsOf(secretId: string): readonly string[] {
  if (secretId.length > MAX_REFERENCE_LENGTH) return [];
  const readings = new Set<string>();
  const open = [secretId];
  for (let text = open.pop(); text !== undefined; text = open.pop()) {
    if (readings.has(text) || text === '') continue;
    readings.add(text);
    open.push(...namesWithin(text));
  }
  return [...readings];
}

function namesWithin(text: string): string[] {
  const names = [text.toLowerCase()];
  const inArn = SECRETS_MANAGER_ARN.exec(text)?.groups?.['name'];
  if (inArn !== undefined) names.push(inArn, inArn.replace(/-[A-Za-z0-9]{6}$/, ''));
  const parameter = PARAMETER_ARN.exec(text)?.groups?.['name'];
  if (parameter !== undefined) names.push(parameter);
  if (!text.startsWith('arn:')) names.push(text.replace(/:.*$/s, ''), ...pathsOf(text));
  for (const path of pathsOf(text)) {
    const through = /^\/aws\/reference\/secretsmanager\/(.+)$/i.exec(path)?.[1];
    if (through !== undefined) names.push(through, `/${through}`);
  }
  return names;
}

/** Whether the store could take this name for one under one of our prefixes. It errs towards yes. */
function isUnder(reading: string, ownPrefixes: readonly string[]): boolean {
  const text = reading.toLowerCase();
  const paths = pathsOf(text).map((path) => `${path}/`);
  const parts = text.split(/[/:#]/);
  return ownPrefixes.some((own) =>
    own.startsWith('/')
      ? paths.some((path) => path.startsWith(own))
      : // Names without slashes: Google Cloud takes `projects/…/secrets/NAME`, Azure a URL.
        parts.some((part) => part.startsWith(own)),
  );
}

/**
 * The absolute paths a name may mean: as it is (AWS takes dots for ordinary characters), and with `.` and `..` resolved
 * as stores behind HTTP do. Empty levels are dropped: some readers do.
 */
function pathsOf(text: string): string[] {
  const levels = text.split('/').filter((level) => level !== '');
  const resolved: string[] = [];
  for (const level of levels) {
    if (level === '..') resolved.pop();
    else if (level !== '.') resolved.push(level);
  }
  return [levels, resolved].map((each) => `/${each.join('/')}`);
}

/**
 * Whether an id is within `ALLOWED_REFERENCE_PREFIXES`: begins with one of them, character for character, and has none
 * of the spellings by which a lenient store would leave that prefix again.
 */
function isAllowedReference(secretId: string, allowedPrefixes: readonly string[]): boolean {
  if (/\/\/|(^|\/)\.{1,2}(\/|$)/.test(secretId)) return false;
  return allowedPrefixes.some((allowed) => allowed !== '' && secretId.startsWith(allowed));
}
