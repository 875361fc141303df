import { meaningOfName, isAnswer } from './key-names.js';

/**
 * Finds secrets in texts. Every rule looks at each character a bounded number of times, because the texts come from
 * events.
 */

/** Called with each secret of a text until it says true. */
export type Judge = (secret: string) => boolean;

/** Passwords in addresses: URLs, `user:password@host`, Go's and Oracle's forms. */

/** The longest address that may contain another `://`, and the longest word without a scheme, in characters. */
const LONGEST_WORD = 4096;
const MOST_LONGER = 256;
/** Schemes whose readers all take digits after the host for a port. */
const WEB = /(?:^|[^A-Za-z0-9])(?:https?|wss?)$/i;

export function addressHolds(text: string, judge: Judge): boolean {
  return (
    (text.includes('://') && urlHolds(text, judge)) ||
    (text.includes('@') && (wholeHolds(text, judge) || wordHolds(text, judge)))
  );
}

/** Looks at every `://` of the text: any of several addresses may contain a password, and so may a line of a log. */
function urlHolds(text: string, judge: Judge): boolean {
  let longer = MOST_LONGER;
  for (let at = text.indexOf('://'); at !== -1; at = text.indexOf('://', at + 3)) {
    const next = text.indexOf('://', at + 3);
    const isWeb = WEB.test(text.slice(Math.max(0, at - 6), at));
    const rest = text.slice(at + 3, next === -1 ? text.length : next);
    if (userInfoHolds(rest, isWeb, judge)) return true;
    // A password may contain `://`. If the address had ended before it, a blank or the like would be there.
    if (next !== -1 && longer > 0 && !/[\s,;"'<>|]/.test(rest)) {
      longer -= 1;
      const word = /^[^\s,;"'<>|]*/.exec(text.slice(at + 3, at + 3 + LONGEST_WORD))?.[0] ?? '';
      if (userInfoHolds(word, isWeb, judge)) return true;
    }
  }
  return false;
}

/**
 * `user:password@host…`. Also finds passwords without percent-encoding, which may contain `/`, `?`, `#`, `@` and spaces.
 * They differ from a host with a port: a port is digits up to the end or the path.
 */
function userInfoHolds(rest: string, isWeb: boolean, judge: Judge): boolean {
  if (/^\[[0-9A-Fa-f:.]*(?:%[\w.-]*)?\]/.test(rest)) return false; // an IPv6 host
  const match = /^([^\s:/?#]*):([^]*)@/.exec(rest);
  if (match === null) return isWeb && tokenAsUser(rest, judge);
  const password = match[2] ?? '';
  const port = USER_INFO.test(password) ? null : /^\d{1,5}([\s/?#,;"')\]}&>|])/.exec(password);
  if (port === null) return judge(password);
  // `user:1234/x@host`: database drivers take everything up to the `@` for the password.
  const isPassword = !isWeb && port[1] === '/' && !/[\s?#,;"'{}]/.test(password);
  return isPassword && judge(password);
}

/** What RFC 3986 allows before the `@`. Every reader takes it for user and password, even if it is digits. */
const USER_INFO = /^[\w.~!$&'()*+,;=:%-]*$/;

/** `https://TOKEN@host`. User names are seldom this long and have digits, so such a text counts as a token. */
function tokenAsUser(rest: string, judge: Judge): boolean {
  const token = /^([A-Za-z0-9_-]{20,})@[\w[]/.exec(rest)?.[1] ?? '';
  return /\d/.test(token) && /[A-Za-z]/.test(token) && judge(token);
}

/** Words before a colon that are not a user: schemes of addresses without a password, and package registries. */
const NO_USER = /^(?:mailto|sips?|xmpp|acct|urn|im|arn|e-?mail|npm|jsr|pkg|serviceAccount|group)$/i;
/** Texts after an `@` that are not a host: versions, and digests of images. */
const NO_HOST = /^(?:v?\d+(?:\.\d+){0,2}(?:[-+].*)?|sha\d+)$/i;
const HOST = String.raw`[\w.-]+|\[[0-9A-Fa-f:.]+\]`;
const PLAIN_ADDRESS = new RegExp(String.raw`^([^\s:/@]+):(\S+)@(${HOST})(?::\d+)?(?:[/?]\S*)?$`);
const ORACLE_THIN = /^jdbc:oracle:\w+:[^/@\s]+\/(?:"([^"]*)"|([^\s]+))@/;

/** The whole text is an address without a scheme. */
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
/** Within a text only with a port, so that `Contact:me@example.com` does not count. */
const WITH_PORT = new RegExp(String.raw`^([^\s:/@]+):(\S+)@(?:${HOST}):\d{1,5}(?:$|[/?,;)\]}])`);

/** The words of a text: several addresses in a list, a command line, `url=user:password@tcp(host:3306)/db`. */
function wordHolds(text: string, judge: Judge): boolean {
  for (const [whole] of text.matchAll(/[^\s,;"'`|<>]+/g)) {
    if (!whole.includes('@')) continue;
    const long = whole.slice(0, LONGEST_WORD);
    const words = [long, long.slice(long.indexOf('=') + 1)];
    if (words.some((word) => oneWordHolds(word, judge))) return true;
  }
  // A password may contain any of the signs that separate words.
  return text.length <= LONGEST_WORD && oneWordHolds(text, judge);
}

function oneWordHolds(word: string, judge: Judge): boolean {
  const own = GO_ADDRESS.exec(word) ?? ORACLE_HOST.exec(word);
  if (own !== null && judge(own[1] ?? '')) return true;
  if (word.includes('://')) return false; // urlHolds has looked at it
  const match = WITH_PORT.exec(word);
  return match !== null && !NO_USER.test(match[1] ?? '') && judge(match[2] ?? '');
}

/**
 * Secrets that follow their name in a text: `password=x`, `"password": "x"`, `--password x`, `<password>x<`, header lines,
 * command lines.
 */

/** The longest name before a sign, and how much of a value is needed to tell it from a mask, in characters. */
const LONGEST_NAME = 100;
const VALUE_START = 120;
const MOST_JUDGED_NAMES = 512;
/** A cheap test before a name is split into words: a text of megabytes may contain a million `=`. */
const MAY_BE_SECRET =
  /pass|pwd|pw|psw|pin|wort|secret|token|jwt|cred|bearer|cookie|pat|auth|key|jaas|info|sig|code|conn|json|dict|material|phrase|mdp|geheim|parola|haslo|sifre|clave|otp|mnemonic|senha|[^\0-\x7f]/i;

/** Signs between a name and its value. */
const SIGNS = /[=:>]/g;

export function pairHolds(text: string, judge: Judge): boolean {
  return (
    signHolds(text, judge) ||
    flagHolds(text, judge) ||
    (text.includes('<') && elementHolds(text, judge)) ||
    commandHolds(text, judge) ||
    (text.includes(':') && passwordFileHolds(text, judge))
  );
}

/** Caches the meaning of names for one text only, because a piece of a secret may be part of a name. */
function judgeOfNames(): (name: string) => boolean {
  const judged = new Map<string, boolean>();
  return (name) => {
    if (name === '' || !MAY_BE_SECRET.test(name)) return false;
    const judgement = judged.get(name) ?? isSecretName(name);
    if (judged.size < MOST_JUDGED_NAMES) judged.set(name, judgement);
    return judgement;
  };
}

/** In texts, some more names are secrets: a signature gives access to what its address names. */
const isSecretName = (name: string): boolean =>
  meaningOfName(name) !== 'plain' || /^(?:sig|x-(?:amz|goog)-signature|_?auth|aws_?sk)$/i.test(name);

/** Whether a value is what the judge looks for, and not just an answer to the name's question (`usePassword=true`). */
function isValue(name: string, value: string, judge: Judge): boolean {
  return judge(value) && !isAnswer(value, meaningOfName(name));
}

/** `Password=x;`, `&sig=x`, `password = 'x'`, `"password": 5`, `:password => "x"`, `Authorization: Bearer x`, `password: x`. */
function signHolds(text: string, judge: Judge): boolean {
  const isSecret = judgeOfNames();
  let previous = -1;
  for (const { index: at } of text.matchAll(SIGNS)) {
    const sign = text[at];
    const from = Math.max(previous + 1, at - LONGEST_NAME);
    if (sign === '>' && text[at - 1] !== '=') continue;
    // `=>` and `:=` are one sign: the name comes before both characters.
    const isDouble = at - 1 === previous && (sign === '>' || sign === '=');
    const before = isDouble ? text.slice(Math.max(0, at - 1 - LONGEST_NAME), at - 1) : text.slice(from, at);
    previous = at;
    const { name, isQuoted } = nameEndingAt(before, sign === '=');
    if (!isSecret(name)) continue;
    const after = text.slice(at + 1, at + 1 + VALUE_START);
    const value =
      sign === ':'
        ? valueAfterColon(after, text[at - before.length - 1 + before.lastIndexOf(name)], isQuoted, name)
        : valueOf(after);
    if (isValue(name, value, judge)) return true;
  }
  return false;
}

/** The word before a sign. Before `=` a run of words, because ADO has names of several words; the last ones decide. */
function nameEndingAt(before: string, isRun: boolean): { readonly name: string; readonly isQuoted: boolean } {
  let end = before.length;
  while (end > 0 && /[\s"'\\\]`]/.test(before[end - 1] ?? '')) end -= 1;
  const isQuoted = /["'\]`]/.test(before.slice(end));
  const allowed = isRun ? /[\p{L}\p{N}\p{M}_. -]/u : /[\p{L}\p{N}\p{M}_.-]/u;
  let start = end;
  while (start > 0 && allowed.test(before[start - 1] ?? '')) start -= 1;
  return { name: before.slice(start, end).trim(), isQuoted };
}

function valueOf(after: string): string {
  const quoted = quotedValue(after);
  if (quoted !== null) return quoted;
  const match = /^\s{0,3}(?:\{((?:[^}]|\}\})*)|([^\s"'&;,=>][^\s"'&;,]*)|([=>][^\s"'&;,]+))/.exec(after);
  return match?.slice(1).find((part) => part !== undefined) ?? '';
}

/** The text between quotes, which may contain doubled or escaped ones. Null if no quote opens it. A quote with nothing behind it is the value. */
function quotedValue(after: string): string | null {
  const escaped = /^\s{0,20}[rbuf]?\\{1,3}(?:"([^"\\]*)|'([^'\\]*))/.exec(after);
  if (escaped !== null) return escaped[1] ?? escaped[2] ?? '';
  const [all, double, single] =
    /^\s{0,20}[rbuf]?(?:"((?:[^"\\]|\\[^]|"")*)"?|'((?:[^'\\]|\\[^]|'')*)'?)/.exec(after) ?? [];
  if (all === undefined) return null;
  const value = double ?? single ?? '';
  return value !== '' || /(?:""|'')$/.test(all) ? value : all.trim();
}

/** The value after a colon. A URN or an ARN also has colons, but one more right before or after the name. */
function valueAfterColon(
  after: string,
  previous: string | undefined,
  isQuoted: boolean,
  name: string,
): string {
  const quoted = quotedValue(after);
  if (quoted !== null) return quoted;
  const list = /^\s{0,20}\[\s{0,20}\\{0,3}["']([^"'\\]*)/.exec(after);
  if (list !== null) return list[1] ?? '';
  if (isQuoted) {
    const bare = /^\s{0,20}([^\s,}{[\]]+)/.exec(after)?.[1] ?? '';
    // A number under a plural is a count: `"tokens": 4096`.
    return /^(?:null|None|undefined|nil)$/.test(bare) ||
      (/^[\d.]+$/.test(bare) && meaningOfName(name) === 'secret')
      ? ''
      : bare;
  }
  if (after.startsWith(':') || previous === ':' || previous === '/') return '';
  if (IS_HEADER.test(name)) return /^\s{0,20}(?:[A-Za-z][\w-]*\s+)?([^\s"',;]+)/.exec(after)?.[1] ?? '';
  for (const begin of VALUE_BEGINS) {
    const from = begin.exec(after)?.[0].length;
    const word = from === undefined ? '' : wordUpToItsEnd(after.slice(from));
    if (word !== '') return word;
  }
  return after.length === VALUE_START ? (/^[ \t]{0,20}(\S{80,})$/.exec(after)?.[1] ?? '') : '';
}

/** What may come before the value: one word or a sign of YAML (`!vault |`), blanks, or nothing. */
const VALUE_BEGINS = [/^[ \t]{1,20}[!|>]?[\w-]*[ \t\r\n]{1,20}/, /^[ \t]{1,20}/, /^(?=[^\s/])/];

/**
 * A word that is followed by the end of the line or by a separator of members; '' if a sentence goes on. In steps, each of
 * which looks at a character once: one pattern for all of it would take quadratic time.
 */
function wordUpToItsEnd(text: string): string {
  const word = /^[^\s"'{}[\],][^\s"',}\]]*/.exec(text)?.[0] ?? '';
  if (word === '' || /^[ \t]{0,20}(?:$|[\r\n,}\]"']|[\w-]+:)/.test(text.slice(word.length))) return word;
  return /^([^]+)(?:[;)#]|[\w-]:)/.exec(word)?.[1] ?? '';
}
const IS_HEADER = /^(?:(?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]+)$/i;

/** `--password x`, `machine h login u password x`, `IDENTIFIED BY 'x'`, `SECRET 'x'`, `-p:x`. */
function flagHolds(text: string, judge: Judge): boolean {
  const isSecret = judgeOfNames();
  if (text.includes('--') || /(?:^|\s)[-/]\w/.test(text))
    for (const [, name = '', value = ''] of text.matchAll(
      /(?:^|[\s"'[(])(?:--?|\/)([A-Za-z][\w.-]{2,60})["']?(?:[ \t]{1,4}|\s?[:,]\s?)["']?([^\s"'-][^\s"']{0,200})/g,
    ))
      if (isSecret(name) && isValue(name, value, judge)) return true;
  if (/\b(?:machine|default|login)\s/.test(text))
    for (const [, value = ''] of text.matchAll(/\s(?:password|passwd)\s+(\S{1,200})/g))
      if (judge(value)) return true;
  if (!/\s["']/.test(text)) return false;
  for (const [, name = '', double, single] of text.matchAll(
    /(?<![\w-])((?:identified\s{1,4}by|[A-Za-z]\w{2,40}))\s{1,4}(?:by\s{1,4})?(?:"((?:[^"]|""){1,120})|'((?:[^']|''){1,120}))/gi,
  )) {
    const value = double ?? single ?? '';
    if (/^identified/i.test(name) ? judge(value) : isSecret(name) && isValue(name, value, judge)) return true;
  }
  return false;
}

/** `<password>x</password>`, `<entry key="password">x</entry>`, `<property><name>password</name><value>x</value>`. */
function elementHolds(text: string, judge: Judge): boolean {
  const isSecret = judgeOfNames();
  let label = '';
  for (const [, tag = '', attributes = '', value = ''] of text.matchAll(
    /<(?:\w{1,40}:)?([A-Za-z][\w.-]{0,80})((?:\s[^<>]{0,400})?)>\s{0,20}(?:<!\[CDATA\[)?([^<]{0,200})/g,
  )) {
    const named = /\s(?:key|name|id|property)\s?=\s?["']([^"']{1,100})/i.exec(attributes)?.[1] ?? '';
    const labelled = /^(?:value|string|val|text)$/i.test(tag) ? label : '';
    const name = [tag, named, labelled].find(isSecret);
    if (name !== undefined && isValue(name, value.trim(), judge)) return true;
    const [, double = '', given = double] =
      /\svalue\s?=\s?(?:"([^"]{1,200})|'([^']{1,200}))/i.exec(attributes) ?? [];
    if (given !== '' && isSecret(named) && isValue(named, given, judge)) return true;
    if (/^(?:name|key|param-?name|field)$/i.test(tag)) label = value.trim();
  }
  return false;
}

/** The option by which each command takes a password. Other commands use the same letters for something else. */
const COMMANDS: readonly (readonly [RegExp, RegExp])[] = [
  [/\b(?:mysql\w*|mariadb[\w-]*)\s/, /\s-p([^\s-]\S*)/],
  [
    /\b(?:sshpass|mongo\w*|beeline|docker\s+login|podman\s+login|helm\s+registry|snmp\w+)\s/,
    /\s-p\s?["']?([^\s"']+)/,
  ],
  [/\b(?:sqlcmd|bcp|isql|osql|tsql|vsql|clickhouse\S*)\s/i, /\s-[Pw]\s?["']?([^\s"']+)/],
  [/\b(?:redis-cli|kcat)\s/, /\s-a\s?["']?([^\s"']+)/],
  [/\b(?:ldap\w+)\s/, /\s-w\s?["']?([^\s"']+)/],
  [
    /\b(?:curl|http|https|xh|wget)\s/,
    /\s(?:-u|-a|--user|--auth|--proxy-user|-U)[ =]?["']?[^\s:"']+:([^\s"'/][^\s"']*)/,
  ],
  [/\b(?:smbclient|rpcclient|net|mount)\s/, /(?:^|\s)["']?(?:-U\s?)?["']?[^\s%"']+%([^\s"']+)/],
  [/\b(?:sqlplus|expd?p?|impd?p?|sqlldr|rman)\s/, /\s["']?[\w$]+\/([^\s@"']+)@?/],
  [/\b(?:7z|7za|zip|unzip|unrar|rar)\s/, /\s-[pP]\s?([^\s-]\S*)/],
  [/\b(?:openssl|keytool|jarsigner)\s/, /\s-(?:pass(?:in|out)?|storepass|keypass)\s+(?:pass:)?([^\s:]+)/],
  [/\bhtpasswd\s/, /\s-(?=\w*b)\w+\s+\S+\s+\S+\s+(\S+)/],
  [/\b(?:impala-shell|kinit|su|sudo)\s/, /<<<\s?["']?([^\s"']+)/],
  [/\becho\s/, /echo\s+(?:-n\s+)?["']?([^\s"'|]+)["']?\s?\|[^|]*--?(?:password-stdin|S\b|stdin)/],
];

/** Looks at each line up to a limit, because nobody writes longer commands. */
function commandHolds(text: string, judge: Judge): boolean {
  if (!/\s-|\s\S+[/%]|<<</.test(text.slice(0, 1 << 16))) return false;
  for (const [line] of text.matchAll(/[^\r\n]{1,2000}/g))
    for (const [command, flag] of COMMANDS) {
      const value = command.test(`${line} `) ? flag.exec(line)?.[1] : undefined;
      if (value !== undefined && judge(value)) return true;
    }
  return false;
}

/** Lines of `.pgpass`: host:port:database:user:password. */
function passwordFileHolds(text: string, judge: Judge): boolean {
  const line =
    /(?:^|\n)[^\s:#/]{1,200}:(?:\d{1,5}|\*):[^\s:]{1,100}:[A-Za-z*][^\s:]{0,100}:((?:[^\s:\\]|\\.){1,200})[ \t\r]*(?=\n|$)/g;
  for (const [, value = ''] of text.matchAll(line)) if (judge(value)) return true;
  return false;
}

/**
 * Whether a text contains a secret that is known by its form: a key block, a token with a known beginning, a header value,
 * the hash of a password. In linear time, because every alternative begins with letters of its own.
 */
export function holdsToken(text: string): boolean {
  return (
    (LONG_RUN.test(text) && (TOKEN.test(text) || HASH.test(text) || holdsJsonWebToken(text))) ||
    (text.includes('-') && KEY_BLOCK.test(text)) ||
    (text.includes('<RSAKeyValue>') && text.includes('<D>')) ||
    isHeaderCredential(text)
  );
}

/** Every token has one. A cheap test for texts for people, which seldom have one. */
const LONG_RUN = /[\w+/=.$,:-]{16}/;

const KEY_BLOCK =
  /PRIVATE KEY(?: BLOCK)?-----|---- BEGIN SSH2 ENCRYPTED PRIVATE KEY|PuTTY-User-Key-File-\d|\(protected-private-key|OpenVPN Static key/;

/**
 * The boundary at the beginning keeps the pattern from starting again at each letter of a long run. No form ends in an
 * open repetition: the shortest text is enough to find it, and a run of megabytes would overflow the stack.
 */
const TOKEN = new RegExp(
  String.raw`(?<![A-Za-z0-9_])(?:` +
    [
      String.raw`gh[opusr]_\w{20}|github_pat_\w{20}`,
      String.raw`gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas|imt)-[\w.-]{16}|GR1348941[\w-]{16}`,
      String.raw`xox[abeoprs]-[\w-]{10}|xapp-[\w-]{10}|hooks\.slack\.com/services/[\w/]{16}`,
      String.raw`(?:AKIA|ASIA)[A-Z0-9]{16}[^A-Za-z0-9+/]{1,5}[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/])`,
      String.raw`[srw](?:k|h)_(?:live|test)_\w{10}|rk_(?:live|test)_\w{10}|whsec_[\w+/=]{16}`,
      String.raw`AIza[\w-]{35}|GOCSPX-[\w-]{20}|ya29\.[\w-]{20}|1//0[\w-]{20}`,
      String.raw`dapi[0-9a-f]{32}(?:-\d)?|dose[0-9a-f]{32}|dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{16}`,
      String.raw`npm_\w{30}|pypi-[\w-]{16}|hf_[A-Za-z0-9]{20}|sk-[\w-]{20}|gsk_\w{20}|r8_\w{30}|pplx-\w{30}`,
      String.raw`SG\.[\w-]{16,}\.[\w-]{16}|key-[0-9a-f]{32}|xkeysib-[0-9a-f-]{32}|re_[A-Za-z0-9]{6,}_\w{16}`,
      String.raw`shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|sq0(?:atp|csp|idp)-[\w-]{20}|EAAA[\w-]{58}`,
      String.raw`AGE-SECRET-KEY-1[A-Z0-9]{50}|AGE-PLUGIN-[A-Z0-9-]{20}`,
      String.raw`hv[sbr]\.[\w-]{20}|[sb]\.[A-Za-z0-9]{24}(?![A-Za-z0-9.])|[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{40}`,
      String.raw`glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_[\w+/=]{32}|NRAK-[A-Z0-9]{20}|NRII-[\w-]{20}|sntry[su]_[\w+/=-]{20}`,
      String.raw`dop_v1_[0-9a-f]{32}|do[or]_v1_[0-9a-f]{32}|pscale_(?:tkn|pw|oauth)_[\w.-]{20}|sbp_[0-9a-f]{32}`,
      String.raw`lin_(?:api|oauth)_\w{20}|secret_[A-Za-z0-9]{43}|ntn_\w{40}|pat[A-Za-z0-9]{14}\.[0-9a-f]{40}|figd_[\w-]{30}`,
      String.raw`pul-[0-9a-f]{32}|dckr_(?:pat|oat)_[\w-]{20}|oy2[a-z0-9]{40}|rubygems_[0-9a-f]{40}|cio\w{32}`,
      String.raw`PMAK-[0-9a-f]{20,}-[0-9a-f]{30}|ATATT3[\w=-]{40}|ATCTT3[\w=-]{40}|ATBB[\w=]{20}|BBDC-[\w+/]{30}`,
      String.raw`dbtc_[\w-]{20}|dbtu_[\w-]{20}|CCIPAT_\w{20}|bkua_[0-9a-f]{30}|EZ[AT]K[\w-]{40}|tskey-[\w-]{16}`,
      String.raw`sqp_[0-9a-f]{40}|squ_[0-9a-f]{40}|duffel_(?:live|test)_[\w=-]{30}|\d{8,10}:AA[\w-]{33}`,
      String.raw`M[I][A-Za-z0-9+/]{3}[AQgw]IBA[A-Za-z0-9+/]{30}|MC4CAQAwBQYDK2Vw[\w+/=]{20}|MHcCAQEE[\w+/=]{20}`,
    ].join('|') +
    ')',
);

/** Where a JSON Web Token begins. */
const JWT_BEGIN = /(?<![A-Za-z0-9_])eyJ[\w-]{10}/;

/**
 * Whether a text contains a JSON Web Token, with or without a signature. Looks for its two dots, and so at each character
 * once. A pattern would follow each `-eyJ` of a long run to the run's end.
 */
function holdsJsonWebToken(text: string): boolean {
  if (!JWT_BEGIN.test(text)) return false;
  for (let dot = text.indexOf('.'); dot !== -1; dot = text.indexOf('.', dot + 1)) {
    let end = dot + 1;
    while (isTokenCode(text.charCodeAt(end))) end += 1;
    if (end - dot <= 2 || text[end] !== '.') continue;
    let start = dot;
    while (isTokenCode(text.charCodeAt(start - 1))) start -= 1;
    if (JWT_BEGIN.test(text.slice(start, dot))) return true;
  }
  return false;
}

/** Letters, digits, `_` and `-`. False for NaN, the code at a place outside of the text. */
function isTokenCode(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) ||
    (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x30 && code <= 0x39) ||
    code === 0x5f ||
    code === 0x2d
  );
}

/** Hashes of passwords, of crypt and others. Whoever has one can guess the password offline. */
const HASH =
  /\$(?:1|5|6|y|apr1|2[abxy]|argon2(?:id?|d)|scrypt|pbkdf2(?:-sha\d+)?)\$[\w./$,=+-]{16}|\{(?:SSHA|SHA|SMD5|CRYPT)\d*\}[\w+/=.$]{16}|SCRAM-SHA-\d+\$\d+:|pbkdf2_sha\d+\$\d+\$/;

/** What follows `Bearer` in a text about it. */
const NO_CREDENTIAL =
  /^(?:auth(?:entication|orization)?|tokens?|credentials?|schemes?|headers?|flows?|access|keys?)[.,;:]?$/i;

const SCHEME = /^\s*[a-z]{5,9}\s/i;

/** Whether a text is a value of the header `Authorization`, whatever its key. */
function isHeaderCredential(text: string): boolean {
  if (!SCHEME.test(text)) return false;
  const match = /^\s*(bearer|basic|token|apikey|negotiate|digest|splunk|snowflake)\s+(\S{3,})\s*$/i.exec(
    text.slice(0, 16_384),
  );
  const [, scheme = '', credential = ''] = match ?? [];
  switch (scheme.toLowerCase()) {
    case '':
      return false;
    case 'bearer':
      return !NO_CREDENTIAL.test(credential);
    case 'basic':
      // RFC 7617 requires a colon, and `Basic plan` is the name of a product.
      return Buffer.from(credential, 'base64').includes(':');
    default:
      // The words of a sentence (`Token refresh`) are only letters.
      return /[^A-Za-z.,]/.test(credential) || credential.length >= 20;
  }
}
