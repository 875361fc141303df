import { meaningOfName } from './key-names.js';
import { isAnswer } from './members.js';
import type { Judge } from './text-addresses.js';

/**
 * Secrets by the name that stands before them in a text: `password=x`, `"password": "x"`, `--password x`, `<password>x<`,
 * header lines, command lines. Every rule looks at each character a bounded number of times.
 */

/** The longest name that is looked at before a sign, and how much of a value is needed to tell it from a mask. */
const LONGEST_NAME = 100;
const VALUE_START = 120;
const MOST_JUDGED_NAMES = 512;
/** A cheap first look at a name before it is taken apart: texts of megabytes may hold a million `=`. */
const MAY_BE_SECRET =
  /pass|pwd|pw|psw|pin|wort|secret|token|jwt|cred|bearer|cookie|pat|auth|key|jaas|info|sig|code|conn|json|dict|material|phrase|mdp|geheim|parola|haslo|sifre|clave|otp|mnemonic|senha|[^\0-\x7f]/i;

/** Signs between a name and its value. */
const SIGNS = /[=:>]/g;

export function pairHolds(text: string, judge: Judge): boolean {
  return (
    signHolds(text, judge) ||
    wordHolds(text, judge) ||
    (text.includes('<') && elementHolds(text, judge)) ||
    commandHolds(text, judge) ||
    (text.includes(':') && passwordFileHolds(text, judge))
  );
}

/** Remembers what names mean as long as one text is looked at: a piece of a value may hang on to a name. */
function judgeOfNames(): (name: string) => boolean {
  const judged = new Map<string, boolean>();
  return (name) => {
    if (name === '' || !MAY_BE_SECRET.test(name)) return false;
    const judgement = judged.get(name) ?? isSecretName(name);
    if (judged.size < MOST_JUDGED_NAMES) judged.set(name, judgement);
    return judgement;
  };
}

/** Names that are secrets in texts only: a signature opens what its address names. */
const isSecretName = (name: string): boolean =>
  meaningOfName(name) !== 'plain' || /^(?:sig|x-(?:amz|goog)-signature|_?auth|aws_?sk)$/i.test(name);

/** Not a value that answers a question of the name: `usePassword=true`. */
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
    // `=>` and `:=` are one sign, whose name stands before both.
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

/** The word before a sign; before `=` a run of words: ADO has names of several words, and the last ones decide. */
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

/** Between quotes, doubled or escaped ones in it; null where no quote opens. One that nothing closes is a part of the value. */
function quotedValue(after: string): string | null {
  const escaped = /^\s{0,20}[rbuf]?\\{1,3}(?:"([^"\\]*)|'([^'\\]*))/.exec(after);
  if (escaped !== null) return escaped[1] ?? escaped[2] ?? '';
  const [all, double, single] =
    /^\s{0,20}[rbuf]?(?:"((?:[^"\\]|\\[^]|"")*)"?|'((?:[^'\\]|\\[^]|'')*)'?)/.exec(after) ?? [];
  if (all === undefined) return null;
  const value = double ?? single ?? '';
  return value !== '' || /(?:""|'')$/.test(all) ? value : all.trim();
}

/** A header may have no blank behind the colon; a URN or an ARN has none, either, but a colon before its name. */
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
    // A number under a plural counts: `"tokens": 4096`.
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

/** What may stand before the value: one word or a sign of YAML (`!vault |`), blanks, or nothing. */
const VALUE_BEGINS = [/^[ \t]{1,20}[!|>]?[\w-]*[ \t\r\n]{1,20}/, /^[ \t]{1,20}/, /^(?=[^\s/])/];

/**
 * One word up to the end of the line, or to what separates members: a sentence goes on. In steps, each of which looks at
 * a character once: as one pattern it is tried from every place to every other.
 */
function wordUpToItsEnd(text: string): string {
  const word = /^[^\s"'{}[\],][^\s"',}\]]*/.exec(text)?.[0] ?? '';
  if (word === '' || /^[ \t]{0,20}(?:$|[\r\n,}\]"']|[\w-]+:)/.test(text.slice(word.length))) return word;
  return /^([^]+)(?:[;)#]|[\w-]:)/.exec(word)?.[1] ?? '';
}
const IS_HEADER = /^(?:(?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]+)$/i;

/** `--password x`, `machine h login u password x`, `IDENTIFIED BY 'x'`, `SECRET 'x'`, `-p:x`. */
function wordHolds(text: string, judge: Judge): boolean {
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

/** What a command takes a password by; other commands mean something else by the same letters. */
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

/** Line by line, and of a line only so much: nobody writes longer commands. */
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
