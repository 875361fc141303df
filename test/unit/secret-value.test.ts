import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { format, inspect } from 'node:util';
import { deserialize, serialize } from 'node:v8';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { SecretValue } from '../../src/secret-value.js';

const TEXT = 'the-hidden-value';
const secret = new SecretValue(TEXT);
// For the compiler: a program in JavaScript is stopped by nothing.
const asText = secret as unknown as string;
const deep = { a: [{ password: secret }] };

function written(print: (stream: Writable) => void): string {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, next) {
      text += chunk.toString();
      next();
    },
  });
  print(stream);
  return text;
}

function passedOn(value: object): unknown {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(value);
  const received: unknown = receiveMessageOnPort(port2);
  port1.close();
  return received;
}

describe('a secret value', () => {
  it.each<[string, () => string]>([
    ['a template', () => `${String(secret)} ${asText}`],
    [
      'concatenation',
      () => ['', secret].join() + String(Reflect.apply(String.prototype.concat, 'x', [secret])),
    ],
    ['JSON.stringify', () => JSON.stringify(deep) + JSON.stringify(secret)],
    ['util.inspect', () => inspect(deep, { depth: null, showHidden: true, getters: true })],
    [
      'util.inspect that ignores our own form',
      () => inspect(deep, { depth: null, showHidden: true, customInspect: false }),
    ],
    ['util.format', () => format('%s %o %O %j %d %i', secret, secret, deep, deep, secret, secret)],
    [
      'console.log',
      () =>
        written((stdout) => {
          new Console({ stdout }).log(secret, deep, asText);
        }),
    ],
    [
      'console.dir and console.table',
      () =>
        written((stdout) => {
          const console = new Console({ stdout });
          console.dir(deep, { depth: null, showHidden: true });
          console.table([{ secret }]);
        }),
    ],
    [
      'pino',
      () =>
        written((stream) => {
          pino({ level: 'trace' }, stream).info({ deep, secret }, 'said %o', secret);
        }),
    ],
    ['structuredClone', () => inspect(structuredClone(deep), { depth: null, showHidden: true })],
    [
      'v8.serialize',
      () => serialize(deep).toString('latin1') + inspect(deserialize(serialize(deep)), { depth: null }),
    ],
    ['postMessage', () => inspect(passedOn(deep), { depth: null, showHidden: true })],
    ['the cause of an error', () => inspect(new Error('failed', { cause: secret }), { depth: null })],
    [
      'an error of several',
      () => inspect(new AggregateError([secret, deep], 'failed'), { depth: null, showHidden: true }),
    ],
    [
      'a spread and its members',
      () => inspect([{ ...secret }, Object.entries(secret), Object.assign({}, secret)]),
    ],
    [
      'all its own and inherited names',
      () => {
        const names = [...Reflect.ownKeys(secret), ...Reflect.ownKeys(SecretValue.prototype)];
        const read = names
          .filter((name) => name !== 'constructor')
          .map((name) => [name, Reflect.get(secret, name) as unknown]);
        return inspect(read, { depth: null });
      },
    ],
    [
      'the error of a wrong use',
      () => {
        try {
          return String(JSON.parse(asText));
        } catch (error) {
          return inspect(error, { depth: null });
        }
      },
    ],
  ])('does not show itself in %s', (_, print) => {
    const printed = print();
    expect(printed.length).toBeGreaterThan(0);
    expect(printed).not.toContain(TEXT);
  });

  it('gives its text where it is asked for it', () => {
    expect(secret.reveal()).toBe(TEXT);
    expect(new SecretValue('ä').byteLength).toBe(2);
    expect([secret.equals(new SecretValue(TEXT)), secret.equals(new SecretValue('other'))]).toEqual([
      true,
      false,
    ]);
  });
});
