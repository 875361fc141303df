import type { Json, JsonObject } from '../../src/terms.js';
import type { Random } from './random.js';
import { anyKey, anyValue, hugeValue } from './values.js';

type Node = Record<string, Json>;
interface Place {
  readonly node: Node;
  readonly key: string;
  readonly depth: number;
}

/** Changes a JSON tree in place: members and elements replaced, removed, moved, wrapped, renamed, doubled. */
export function mutateTree(root: JsonObject, donor: JsonObject, random: Random): void {
  const places = placesOf(root);
  // Mostly deep down: what changes at the top is refused before anybody looks at a field.
  const deep = places.filter(({ depth }) => depth > 2);
  const { node, key } = random.pick(deep.length > 0 && !random.chance(4) ? deep : places);
  const value = node[key] ?? null;
  switch (random.below(11)) {
    case 0:
      node[key] = anyValue(random);
      return;
    case 1:
      define(node, anyKey(random), anyValue(random));
      return;
    case 2:
      if (Array.isArray(node)) node.splice(Number(key), 1);
      else delete node[key];
      return;
    case 3:
      define(node, anyKey(random), value);
      return;
    case 4: {
      const { node: other, key: otherKey } = random.pick(places);
      [node[key], other[otherKey]] = [other[otherKey] ?? null, value];
      // Two that hold each other would be no tree any more.
      if (isCyclic(root)) [node[key], other[otherKey]] = [value, node[key] ?? null];
      return;
    }
    case 5:
      node[key] = [value];
      return;
    case 6:
      node[key] = { [anyKey(random)]: value };
      return;
    case 7:
      node[key] = JSON.stringify(value);
      return;
    case 8: {
      const { node: from, key: fromKey } = random.pick(placesOf(donor));
      node[key] = structuredClone(from[fromKey] ?? null);
      return;
    }
    case 9:
      if (Array.isArray(value)) value.push(...structuredClone(value));
      else if (typeof value === 'string') node[key] = mutateText(value, random);
      else if (typeof value === 'number') node[key] = value + random.pick([1, -1, 0.5, 3_600_000, 1e12]);
      return;
    default:
      node[key] = random.chance(20) ? hugeValue(random) : anyValue(random);
  }
}

function mutateText(text: string, random: Random): string {
  const at = random.below(text.length + 1);
  switch (random.below(4)) {
    case 0:
      return (
        text.slice(0, at) +
        random.pick(['\u0000', '\ud800', '\ufeff', '"', '\\', '\n', '🔥']) +
        text.slice(at)
      );
    case 1:
      return text.slice(0, at);
    case 2:
      return text.toUpperCase();
    default:
      return text + text;
  }
}

/** Every member and element below the root. */
function placesOf(root: JsonObject): Place[] {
  const places: Place[] = [];
  const walk = (node: Json, depth: number): void => {
    if (typeof node !== 'object' || node === null) return;
    for (const key of Object.keys(node)) {
      places.push({ node: node as Node, key, depth });
      walk((node as Node)[key] ?? null, depth + 1);
    }
  };
  walk(root, 0);
  return places.length === 0 ? [{ node: root, key: 'x', depth: 0 }] : places;
}

/** Also `__proto__`, as a parser would. */
function define(node: Node, key: string, value: Json): void {
  if (Array.isArray(node)) node.push(value);
  else Object.defineProperty(node, key, { value, enumerable: true, writable: true, configurable: true });
}

function isCyclic(root: JsonObject): boolean {
  try {
    JSON.stringify(root);
    return false;
  } catch {
    return true;
  }
}

/** Changes the text of a JSON document, in ways that a serialiser never would. */
export function mutateJsonText(text: string, random: Random): string {
  const at = random.below(text.length + 1);
  const [head, tail] = [text.slice(0, at), text.slice(at)];
  switch (random.below(11)) {
    case 0:
      return `\ufeff${text}`;
    case 1:
      return `${text}${random.pick([' ', '\n', '}', ',', 'x', text])}`;
    case 2:
      return head;
    case 3:
      return text.replace(
        '{',
        `{"${random.pick(['id', 'entity', 'password', 'entityId', 'x'])}":${JSON.stringify(anyValue(random))},`,
      );
    case 4:
      return text.replace(
        /:\d[\d.]*/,
        `:${random.pick(['1e400', '-0', '12345678901234567890', '0.1e-400', 'NaN', '01', '1.'])}`,
      );
    case 5:
      return text.replaceAll(
        '"password"',
        random.pick(['"pass\\u0077ord"', "'password'", 'password', '"password" ']),
      );
    case 6:
      return head + random.pick(['\u0000', '\\', '"', '/* x */', '\\ud83d', '\\u0000', '\u2028']) + tail;
    case 7:
      return text.replaceAll(',', random.pick([',,', ', ', ',\n\t', ';']));
    case 8: {
      const member = /"[a-z]+":"[^"]*",/i.exec(text)?.[0] ?? '';
      return text.replace(member, member + member);
    }
    case 9:
      return '['.repeat(random.pick([10, 250, 20_000])) + text;
    default:
      return head + tail.slice(random.below(20));
  }
}

/** Changes bytes without regard to what they mean. */
export function mutateBytes(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length + 1);
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (random.below(8)) {
    case 0:
      return Buffer.concat([head, Buffer.of(random.below(256)), tail.subarray(1)]);
    case 1:
      return Buffer.concat([head, Buffer.of(random.below(256)), tail]);
    case 2:
      return Buffer.from(head);
    case 3:
      return Buffer.concat([head, head.subarray(-random.below(40)), tail]);
    case 4:
      return Buffer.concat([
        head,
        random.pick([Buffer.of(0xff), Buffer.of(0xc0, 0xaf), Buffer.of(0xed, 0xa0, 0x80)]),
        tail,
      ]);
    case 5:
      return Buffer.from(bytes.toString('utf8'), random.pick(['utf16le', 'latin1'] as const));
    case 6:
      return Buffer.from(bytes.toString(random.pick(['base64', 'hex'] as const)));
    default:
      return Buffer.concat([tail, head]);
  }
}
