/** The bytes of a text in one encoding, as a file or an output may contain them. */
interface Form {
  readonly encoding: string;
  readonly bytes: Buffer;
}

/** Stands for a secret value. Its quotes, slash, plus and umlaut look different in every encoding. */
export const CANARY = 'cAnArY7f3a91c2e5/+"\\é b';

/**
 * The encodings in which a canary occurs; empty if it does not. Looks for the whole text, and for its longest run of
 * letters and digits, because some programs quote only a part.
 */
export function findCanary(where: Buffer | string, canary: string = CANARY): string[] {
  const haystack = typeof where === 'string' ? Buffer.from(where, 'utf8') : where;
  const found = formsOf(canary).filter(({ bytes }) => haystack.includes(bytes));
  return [...new Set(found.map(({ encoding }) => encoding))];
}

function formsOf(canary: string): Form[] {
  const runs = canary.match(/[A-Za-z0-9]{8,}/g) ?? [];
  const longest = runs.toSorted((a, b) => b.length - a.length)[0];
  const texts = longest === undefined ? [canary] : [canary, longest];
  return texts.flatMap((text) => [...bytesForms(text), ...textForms(text)]);
}

function bytesForms(text: string): Form[] {
  const utf8 = Buffer.from(text, 'utf8');
  const little = Buffer.from(text, 'utf16le');
  const hex = utf8.toString('hex');
  return [
    { encoding: 'utf8', bytes: utf8 },
    { encoding: 'utf16le', bytes: little },
    { encoding: 'utf16be', bytes: Buffer.from(little).swap16() },
    ascii('hex', hex),
    ascii('hex', hex.toUpperCase()),
    ascii('hex', hex.replace(/..(?!$)/g, '$& ')),
    // `inspect` shows the first fifty bytes only.
    ascii('hex', hex.slice(0, 24).replace(/..(?!$)/g, '$& ')),
    ...[0, 1, 2].flatMap((offset) => base64Forms(utf8, offset)),
  ];
}

/** The part of a base64 text that depends on these bytes alone, if `offset` (modulo 3) other bytes come before them. */
function base64Forms(bytes: Buffer, offset: number): Form[] {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
  const own = text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6));
  return [ascii('base64', own), ascii('base64url', own.replaceAll('+', '-').replaceAll('/', '_'))];
}

function textForms(text: string): Form[] {
  const json = JSON.stringify(text).slice(1, -1);
  const url = encodeURIComponent(text);
  return [
    { encoding: 'json', bytes: Buffer.from(json, 'utf8') },
    ascii('json', escaped(json)),
    { encoding: 'json', bytes: Buffer.from(JSON.stringify(json).slice(1, -1), 'utf8') },
    ascii('url', url),
    ascii('url', url.replaceAll('%20', '+')),
    ascii(
      'url',
      url.replace(/%../g, (code) => code.toLowerCase()),
    ),
  ];
}

/** JSON in ASCII only, as Python and Java write it. */
function escaped(json: string): string {
  return json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function ascii(encoding: string, text: string): Form {
  return { encoding, bytes: Buffer.from(text, 'latin1') };
}
