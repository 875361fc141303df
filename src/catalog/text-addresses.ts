/**
 * Passwords inside of addresses: URLs, `user:password@host`, Go's and Oracle's forms. Every rule looks at each character a
 * bounded number of times: the texts come from events.
 */

/** Asked of each secret that stands in a text, until one is what is looked for. */
export type Judge = (secret: string) => boolean;

/** How far behind a `://` an `@` is looked for across another `://`, and how long one word without a scheme is. */
const LONGEST_WORD = 4096;
const MOST_LONGER = 256;
/** Schemes whose every reader takes digits behind the host for a port. */
const WEB = /(?:^|[^A-Za-z0-9])(?:https?|wss?)$/i;

export function addressHolds(text: string, judge: Judge): boolean {
  return (
    (text.includes('://') && urlHolds(text, judge)) ||
    (text.includes('@') && (wholeHolds(text, judge) || wordHolds(text, judge)))
  );
}

/** Every `://` of the text: a password may stand in any of several addresses, or in the middle of a log line. */
function urlHolds(text: string, judge: Judge): boolean {
  let longer = MOST_LONGER;
  for (let at = text.indexOf('://'); at !== -1; at = text.indexOf('://', at + 3)) {
    const next = text.indexOf('://', at + 3);
    const isWeb = WEB.test(text.slice(Math.max(0, at - 6), at));
    const rest = text.slice(at + 3, next === -1 ? text.length : next);
    if (userInfoHolds(rest, isWeb, judge)) return true;
    // A password may have `://` in it; an address that ends before the next one has a blank between.
    if (next !== -1 && longer > 0 && !/[\s,;"'<>|]/.test(rest)) {
      longer -= 1;
      const word = /^[^\s,;"'<>|]*/.exec(text.slice(at + 3, at + 3 + LONGEST_WORD))?.[0] ?? '';
      if (userInfoHolds(word, isWeb, judge)) return true;
    }
  }
  return false;
}

/**
 * `user:password@host…`. Passwords that were not percent-encoded are seen too: they may hold `/`, `?`, `#`, `@` and
 * spaces. What tells them from a host with a port is that a port is digits up to the end or the path.
 */
function userInfoHolds(rest: string, isWeb: boolean, judge: Judge): boolean {
  if (/^\[[0-9A-Fa-f:.]*(?:%[\w.-]*)?\]/.test(rest)) return false; // an IPv6 host
  const match = /^([^\s:/?#]*):([^]*)@/.exec(rest);
  if (match === null) return isWeb && tokenAsUser(rest, judge);
  const password = match[2] ?? '';
  const port = USER_INFO.test(password) ? null : /^\d{1,5}([\s/?#,;"')\]}&>|])/.exec(password);
  if (port === null) return judge(password);
  // Drivers of databases take all up to the `@` for the password; no other slash follows a port so closely.
  const isPassword = !isWeb && port[1] === '/' && !/[\s?#,;"'{}]/.test(password);
  return isPassword && judge(password);
}

/** What RFC 3986 allows in front of the `@`: every reader takes it for user and password, digits or not. */
const USER_INFO = /^[\w.~!$&'()*+,;=:%-]*$/;

/** `https://TOKEN@host`: nobody's name is so long and has digits in it. */
function tokenAsUser(rest: string, judge: Judge): boolean {
  const token = /^([A-Za-z0-9_-]{20,})@[\w[]/.exec(rest)?.[1] ?? '';
  return /\d/.test(token) && /[A-Za-z]/.test(token) && judge(token);
}

/** What is no user before a colon: schemes of addresses that have no password, and registries of packages. */
const NO_USER = /^(?:mailto|sips?|xmpp|acct|urn|im|arn|e-?mail|npm|jsr|pkg|serviceAccount|group)$/i;
/** A version, or the digest of an image, is no host. */
const NO_HOST = /^(?:v?\d+(?:\.\d+){0,2}(?:[-+].*)?|sha\d+)$/i;
const HOST = String.raw`[\w.-]+|\[[0-9A-Fa-f:.]+\]`;
const PLAIN_ADDRESS = new RegExp(String.raw`^([^\s:/@]+):(\S+)@(${HOST})(?::\d+)?(?:[/?]\S*)?$`);
const ORACLE_THIN = /^jdbc:oracle:\w+:[^/@\s]+\/(?:"([^"]*)"|([^\s]+))@/;

/** The text as a whole is an address without a scheme. */
function wholeHolds(text: string, judge: Judge): boolean {
  const trimmed = text.length > 4 * LONGEST_WORD ? '' : text.trim();
  const oracle = ORACLE_THIN.exec(trimmed);
  if (oracle !== null) return judge(oracle[1] ?? oracle[2] ?? '');
  const match = /\s|:\/\//.test(trimmed) ? null : PLAIN_ADDRESS.exec(trimmed);
  if (match !== null && !NO_USER.test(match[1] ?? '') && !NO_HOST.test(match[3] ?? ''))
    return judge(match[2] ?? '');
  return aliasHolds(trimmed, judge);
}

/** Oracle's `scott/tiger@orcl`. Not Kerberos' `hive/host@REALM`, nor `actions/checkout@v4`. */
function aliasHolds(text: string, judge: Judge): boolean {
  const match = /^[A-Za-z][\w$#]*(?:\[\w+\])?\/("[^"]+"|[^\s/@]+)@([A-Za-z][\w.-]*)$/.exec(text);
  const [, password = '', alias = ''] = match ?? [];
  const isRealm = alias === alias.toUpperCase() && /[.]|_HOST/.test(password + alias);
  const isVersion = /^(?:v\d.*|main|master|latest|sha\d+)$/i.test(alias);
  return match !== null && !isRealm && !isVersion && judge(password);
}

const GO_ADDRESS = /^[^\s:/]*:(.+)@(?:tcp6?|unix|udp|cloudsql\w*|aws|[a-z]{2,10})\([^()\s]*\)(?:\/|$)/s;
const ORACLE_HOST =
  /^[A-Za-z][\w$#"]*(?:\[\w+\])?\/(.+)@(?:\/\/[\w.[]|[\w.-]+:\d+[/:]|tcps?:\/\/|\(DESCRIPTION)/i;
/** In the middle of a text only with a port, so that `Contact:me@example.com` is no password. */
const WITH_PORT = new RegExp(String.raw`^([^\s:/@]+):(\S+)@(?:${HOST}):\d{1,5}(?:$|[/?,;)\]}])`);

/** The words of a text: several addresses in a list, a command line, `url=user:password@tcp(host:3306)/db`. */
function wordHolds(text: string, judge: Judge): boolean {
  for (const [whole] of text.matchAll(/[^\s,;"'`|<>]+/g)) {
    if (!whole.includes('@')) continue;
    const long = whole.slice(0, LONGEST_WORD);
    const words = [long, long.slice(long.indexOf('=') + 1)];
    if (words.some((word) => oneWordHolds(word, judge))) return true;
  }
  // Their passwords may have any of the signs that separate words.
  return text.length <= LONGEST_WORD && oneWordHolds(text, judge);
}

function oneWordHolds(word: string, judge: Judge): boolean {
  const own = GO_ADDRESS.exec(word) ?? ORACLE_HOST.exec(word);
  if (own !== null && judge(own[1] ?? '')) return true;
  if (word.includes('://')) return false; // the URLs' own rule knows ports
  const match = WITH_PORT.exec(word);
  return match !== null && !NO_USER.test(match[1] ?? '') && judge(match[2] ?? '');
}
