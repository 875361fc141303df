/**
 * Decides whether a connection may name a secret. This is the only place that does: every reference passes it when it
 * comes in, and again when we publish it.
 *
 * What makes a reference dangerous is not how it is written but which secret some reader takes it for. So we judge it in
 * every reading that a known reader or store has ({@link readingsOf}), and refuse it if readers may disagree.
 */

/**
 * - `owned`: the secret is this connection's own
 * - `invalid`: readers may disagree on which secret it names
 * - `foreign`: it names another connection's secret, or a name under one of our prefixes
 * - `not-allowed`: it lies outside of `ALLOWED_REFERENCE_PREFIXES`
 * - `external`: it names a secret that users manage themselves
 */
export type Verdict = 'owned' | 'invalid' | 'foreign' | 'not-allowed' | 'external';

/** Which connection has a secret, as far as the database knows. */
interface Holders {
  /** @param secretId exactly as we write it */
  isOwn(secretId: string): boolean;
  /** @param reading one of {@link readingsOf} */
  isOthers(reading: string): boolean;
}

interface JudgeRules {
  /** Prefixes of our ids: those of today, and those of every earlier cluster name, prefix and style. */
  readonly ownPrefixes: readonly string[];
  /** Empty: every prefix is allowed. */
  readonly allowedPrefixes: readonly string[];
}

/** Characters. The longest ARN of a name that any store takes is shorter. */
export const MAX_REFERENCE_LENGTH = 2_048;

/** Ownership comes before the list: allowing a prefix does not give a connection access to the secrets of another one. */
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
 * The characters of names in stores. Readers may change any other character on the way: they trim white space, decode
 * percent signs, and letters outside of ASCII have several forms.
 */
const NAME = /^[A-Za-z0-9/_+=.@!#:-]+$/;
/** The name has no colon, because some readers take what follows one for a JSON key or a version. */
const SECRETS_MANAGER_ARN =
  /^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:(?<name>[A-Za-z0-9/_+=.@!#-]+)$/;
const PARAMETER_ARN = /^arn:aws[a-z-]*:ssm:[a-z0-9-]+:\d{12}:parameter(?<name>\/[A-Za-z0-9/_.:-]+)$/;

/**
 * Whether all readers see the same name. OpenMetadata's Python reader removes every `secret:`, wherever it stands, so the
 * rest could name any secret. A whole ARN of Secrets Manager is safe: without its `secret:` it names nothing.
 */
function isReadAlike(secretId: string): boolean {
  if (secretId.length > MAX_REFERENCE_LENGTH || !NAME.test(secretId)) return false;
  if (SECRETS_MANAGER_ARN.test(secretId)) return true;
  if (/secrets?:/i.test(secretId)) return false;
  return !/^arn:/i.test(secretId) || PARAMETER_ARN.test(secretId);
}

/**
 * Every name that some reader may take this id for. Empty if the id is too long to be a name. The names are:
 *
 * - the id itself
 * - the name within an ARN, with and without the six characters that Secrets Manager appends
 * - the part before a colon, which begins a version or label
 * - the secret that Parameter Store reads through `/aws/reference/secretsmanager/`
 * - each of these as a path from the root, with dots resolved and empty levels dropped, and in lower case
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

/** Whether a store could take this name for one under one of our prefixes. In doubt it says yes. */
function isUnder(reading: string, ownPrefixes: readonly string[]): boolean {
  const text = reading.toLowerCase();
  const paths = pathsOf(text).map((path) => `${path}/`);
  const parts = text.split(/[/:#]/);
  return ownPrefixes.some((own) =>
    own.startsWith('/')
      ? paths.some((path) => path.startsWith(own))
      : // Google Cloud also takes `projects/…/secrets/NAME`, and Azure a URL: the name is one part of them.
        parts.some((part) => part.startsWith(own)),
  );
}

/**
 * The absolute paths that a name may mean: as it is, because AWS takes dots for ordinary characters, and with `.` and `..`
 * resolved, as stores behind HTTP do. Empty levels are dropped, as some readers do.
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
 * Whether an id begins with one of `ALLOWED_REFERENCE_PREFIXES`, character for character. It must not contain `//`, `.` or
 * `..` as a level, by which a lenient store would leave that prefix again.
 */
function isAllowedReference(secretId: string, allowedPrefixes: readonly string[]): boolean {
  if (/\/\/|(^|\/)\.{1,2}(\/|$)/.test(secretId)) return false;
  return allowedPrefixes.some((allowed) => allowed !== '' && secretId.startsWith(allowed));
}
