import { readFileSync } from 'node:fs';
import { masked } from './printer.mjs';

const MASK = '*********';

/** The sample events with what is expected of them; `examples/events/README.md` says what a line holds. */
export function readSamples(file) {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const { topic, key, note, expect, headers = {}, value } = JSON.parse(line);
      const change = value.data ?? value;
      const entity = typeof change.entity === 'string' ? JSON.parse(change.entity) : change.entity;
      return { line, topic, key, note, expect, headers, value, change, entity };
    });
}

/** The text that was last sent for a field of a connection, or null: masks do not count. */
export function lastSent(samples, connectionId, pointer) {
  return samples
    .filter(({ change }) => change.entityId === connectionId)
    .map(({ entity }) => readAt(entity, pointer))
    .filter((text) => typeof text === 'string' && text !== MASK)
    .at(-1);
}

/** Every secret text that the samples send, as far as secured events name the fields. */
export function secretTexts(samples, securedEvents) {
  const texts = securedEvents.flatMap(({ connectionId, secretFields }) =>
    secretFields.flatMap(({ path }) =>
      samples
        .filter(({ change }) => change.entityId === connectionId)
        .map(({ entity }) => readAt(entity, path)),
    ),
  );
  const isSecret = (text) => typeof text === 'string' && text !== MASK && !text.startsWith('secret:');
  return [...new Set(texts.filter(isSecret))];
}

/** A copy of the value in which the entity's fields at these pointers are hidden. */
export function hideFields(value, pointers) {
  const copy = structuredClone(value);
  for (const pointer of pointers) {
    const path = segments(pointer);
    const last = path.pop();
    const parent = path.reduce((node, segment) => node[segment], copy.entity);
    parent[last] = masked(parent[last]);
  }
  return copy;
}

function readAt(entity, pointer) {
  return segments(pointer).reduce((node, segment) => node?.[segment], entity);
}

function segments(pointer) {
  return pointer
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}
