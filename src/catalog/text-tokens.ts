/** Texts that are secrets by their own form: key blocks, tokens known by how they begin, header values, hashes of passwords. */

/** Whether a key or token stands anywhere in a text. Linear: every alternative begins with letters of its own. */
export function holdsToken(text: string): boolean {
  return (
    (LONG_RUN.test(text) && (TOKEN.test(text) || HASH.test(text) || holdsJsonWebToken(text))) ||
    (text.includes('-') && KEY_BLOCK.test(text)) ||
    (text.includes('<RSAKeyValue>') && text.includes('<D>')) ||
    isHeaderCredential(text)
  );
}

/** Tokens have one: a cheap look at texts for people, which seldom do. */
const LONG_RUN = /[\w+/=.$,:-]{16}/;

const KEY_BLOCK =
  /PRIVATE KEY(?: BLOCK)?-----|---- BEGIN SSH2 ENCRYPTED PRIVATE KEY|PuTTY-User-Key-File-\d|\(protected-private-key|OpenVPN Static key/;

/**
 * Boundaries keep a run of letters from being looked at again from each of its places. No form ends with a repetition
 * that is open: to know that it is there the least is enough, and of megabytes the rest takes more than the stack has.
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
 * A JSON Web Token, with or without a signature: by its two dots, between which every character is looked at once. As a
 * pattern each `-eyJ` of a long run would be followed to the end of the run.
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

/** Letters, digits, `_` and `-`; not what lies outside of the text. */
function isTokenCode(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) ||
    (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x30 && code <= 0x39) ||
    code === 0x5f ||
    code === 0x2d
  );
}

/** Crypt's and others' forms: who has one tries passwords as fast as he likes. */
const HASH =
  /\$(?:1|5|6|y|apr1|2[abxy]|argon2(?:id?|d)|scrypt|pbkdf2(?:-sha\d+)?)\$[\w./$,=+-]{16}|\{(?:SSHA|SHA|SMD5|CRYPT)\d*\}[\w+/=.$]{16}|SCRAM-SHA-\d+\$\d+:|pbkdf2_sha\d+\$\d+\$/;

/** What follows `Bearer` where the text speaks of it. */
const NO_CREDENTIAL =
  /^(?:auth(?:entication|orization)?|tokens?|credentials?|schemes?|headers?|flows?|access|keys?)[.,;:]?$/i;

const SCHEME = /^\s*[a-z]{5,9}\s/i;

/** `Authorization`'s values, under whatever key they stand. */
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
      // By its definition, not by a guess: `Basic plan` is the name of a product.
      return Buffer.from(credential, 'base64').includes(':');
    default:
      // Words of a sentence (`Token refresh`) are letters alone.
      return /[^A-Za-z.,]/.test(credential) || credential.length >= 20;
  }
}
