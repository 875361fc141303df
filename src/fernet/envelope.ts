/** The opened text of a publisher's token begins with this. The number is the version of the format. */
const ENVELOPE_PREFIX = 'csw1:';
/** No broker takes an event with a longer field. */
const MAX_ENVELOPE_CHARACTERS = 16 * 1024 * 1024;
const MEMBERS = 'connectionId,path,value';

/** The one field for which a publisher's token is valid. */
export interface FieldPlace {
  readonly connectionId: string;
  /** JSON Pointer into the entity as it is published. */
  readonly path: string;
}

/** What a publisher seals: a value and the field it belongs to. */
export interface Envelope extends FieldPlace {
  readonly value: string;
}

/** The text to seal for one field. It names the field, so that nobody can copy the token into another field. */
export function packEnvelope({ connectionId, path, value }: Envelope): string {
  return ENVELOPE_PREFIX + JSON.stringify({ connectionId, path, value });
}

/** Whether an opened token says that it is an envelope. */
export function isEnvelope(text: string): boolean {
  return text.startsWith(ENVELOPE_PREFIX);
}

/** Reads what {@link packEnvelope} writes, with the members in any order. Null for anything else. */
export function unpackEnvelope(text: string): Envelope | null {
  if (!isEnvelope(text) || text.length > MAX_ENVELOPE_CHARACTERS) return null;
  const parsed = parseOrNull(text.slice(ENVELOPE_PREFIX.length));
  if (typeof parsed !== 'object' || parsed === null) return null;
  const { connectionId, path, value } = parsed as Partial<Record<keyof Envelope, unknown>>;
  if (Object.keys(parsed).sort().join() !== MEMBERS) return null;
  if (typeof connectionId !== 'string' || typeof path !== 'string' || typeof value !== 'string') return null;
  return { connectionId, path, value };
}

/** Whether somebody made the envelope for this very field. */
export function isFor(envelope: FieldPlace, place: FieldPlace): boolean {
  return envelope.connectionId === place.connectionId && envelope.path === place.path;
}

function parseOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // the parser's message quotes the text, so nobody gets to see it
  }
}
