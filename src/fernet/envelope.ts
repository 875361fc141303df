/** What a publisher's token begins with once it is open; the number is the version of what follows. */
const ENVELOPE_PREFIX = 'csw1:';
/** JSON of more characters is no field of any event that a broker takes. */
const MAX_ENVELOPE_CHARACTERS = 16 * 1024 * 1024;
const MEMBERS = 'connectionId,path,value';

/** The one field that a publisher's token is good for. */
export interface FieldPlace {
  readonly connectionId: string;
  /** JSON Pointer into the entity as it is published. */
  readonly path: string;
}

/** What a publisher seals: a value, and the field it is meant for. */
export interface Envelope extends FieldPlace {
  readonly value: string;
}

/** The text to be sealed for one field: without the place inside, a token would do for any field it is copied to. */
export function packEnvelope({ connectionId, path, value }: Envelope): string {
  return ENVELOPE_PREFIX + JSON.stringify({ connectionId, path, value });
}

/** Whether an opened token says that it is an envelope. */
export function isEnvelope(text: string): boolean {
  return text.startsWith(ENVELOPE_PREFIX);
}

/** Null for anything but exactly what {@link packEnvelope} writes, members in any order. */
export function unpackEnvelope(text: string): Envelope | null {
  if (!isEnvelope(text) || text.length > MAX_ENVELOPE_CHARACTERS) return null;
  const parsed = parseOrNull(text.slice(ENVELOPE_PREFIX.length));
  if (typeof parsed !== 'object' || parsed === null) return null;
  const { connectionId, path, value } = parsed as Partial<Record<keyof Envelope, unknown>>;
  if (Object.keys(parsed).sort().join() !== MEMBERS) return null;
  if (typeof connectionId !== 'string' || typeof path !== 'string' || typeof value !== 'string') return null;
  return { connectionId, path, value };
}

/** Whether an envelope was made for this very field. */
export function isFor(envelope: FieldPlace, place: FieldPlace): boolean {
  return envelope.connectionId === place.connectionId && envelope.path === place.path;
}

function parseOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // a parser's message quotes what it was given
  }
}
