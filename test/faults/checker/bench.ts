import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateKey } from '../../../src/fernet/index.js';
import { freshName, runCli, tmpDir } from '../../harness/index.js';
import { publishedEvent, type ChangeEvent } from './published.js';
import type { CheckInput, PublishedEvent } from './types.js';

export const AT_MS = 1_790_000_000_000;
const POINTERS = ['/connection/config/password', '/connection/config/privateKey'];
const MASK = '*********';

interface Draft {
  readonly id: string;
  readonly at: number;
  readonly password?: string | null;
  readonly privateKey?: string | null;
  readonly eventType?: string;
  readonly host?: string;
  readonly eventId?: string;
}

export interface SentEvent {
  readonly event: ChangeEvent;
  readonly published: PublishedEvent;
}

/** A change event of a Snowflake service, which has two secret fields. */
function sent(draft: Draft, expect: PublishedEvent['expect'] = 'accepted'): SentEvent {
  const { id, at, eventType = 'entityUpdated', host = 'a.example', eventId = `event-${id}-${at}` } = draft;
  const config = {
    type: 'Snowflake',
    username: 'reader',
    account: host,
    ...(draft.password === undefined ? {} : { password: draft.password }),
    ...(draft.privateKey === undefined ? {} : { privateKey: draft.privateKey }),
  };
  const event = {
    id: eventId,
    eventType,
    entityType: 'databaseService',
    entityId: id,
    userName: 'admin',
    timestamp: AT_MS + at * 10,
    entity: {
      id,
      name: `service ${id}`,
      fullyQualifiedName: `service ${id}`,
      serviceType: 'Snowflake',
      version: 0.1 + at / 10,
      connection: { config },
    },
  };
  return { event, published: publishedEvent(event, { secretPointers: POINTERS, expect }) };
}

/** Every kind of end that an event can have, over a few connections (named after what becomes of them). */
export function history(prefix = ''): SentEvent[] {
  const id = (name: string): string => `${prefix}${name}`;
  const created = (name: string, at: number, fields: Partial<Draft> = {}): SentEvent =>
    sent({
      id: id(name),
      at,
      eventType: 'entityCreated',
      password: `pass-word-${id(name)}-${at}`,
      ...fields,
    });
  return [
    created('changed', 1, { privateKey: 'private-key-of-changed-1' }),
    created('deleted', 1),
    created('soft', 1),
    created('external', 1, { password: 'secret:/elsewhere/of-a-user' }),
    created('plain', 1, { password: null }),
    sent({ id: id('changed'), at: 2, password: MASK, privateKey: MASK, host: 'b.example' }),
    sent({
      id: id('changed'),
      at: 4,
      password: MASK,
      privateKey: 'private-key-of-changed-4',
      host: 'c.example',
    }),
    // Late: the text that a newer mask stands for, then one that nothing needs any more.
    sent({
      id: id('changed'),
      at: 3,
      password: 'pass-word-late-text-3',
      privateKey: 'private-key-of-changed-3',
    }),
    sent({ id: id('changed'), at: 2.5, password: 'pass-word-stale-text', privateKey: MASK }),
    sent({ id: id('deleted'), at: 2, eventType: 'entityDeleted' }),
    sent({ id: id('soft'), at: 2, eventType: 'entitySoftDeleted', password: MASK }),
    // The same content under another id, and the same event again.
    { ...created('soft', 1, { eventId: `again-${id('soft')}` }) },
    created('soft', 1),
    sent({ id: id('never-seen'), at: 1, password: MASK }, 'refused'),
    sent({ id: id('plain'), at: 2, password: 'null' }, 'refused'),
  ];
}

/** A healthy end of the history through `pipe` with the manager `local` or `db`, each test on its own copy. */
export class PipeBench {
  readonly #dir: string;
  readonly #key: string;
  readonly #events: readonly SentEvent[];
  readonly #manager: string;

  private constructor(dir: string, key: string, events: readonly SentEvent[], manager: string) {
    this.#dir = dir;
    this.#key = key;
    this.#events = events;
    this.#manager = manager;
  }

  static async run(manager: 'local' | 'db'): Promise<PipeBench> {
    const dir = tmpDir('checker');
    const key = generateKey();
    const events = history();
    const input = join(dir, 'in.ndjson');
    writeFileSync(input, events.map(({ event }) => `${JSON.stringify(event)}\n`).join(''));
    const { code, stderr } = await runCli(['pipe', '--in', input, '--out', join(dir, 'secured.ndjson')], {
      env: { FERNET_KEY: key, SECRET_MANAGER: manager, DATABASE_URL: `sqlite:${join(dir, 'w.sqlite')}` },
    });
    if (code !== 3) throw new Error(`pipe ended with ${code}: ${stderr}`);
    return new PipeBench(dir, key, events, manager);
  }

  /** A copy to be broken, and what the checker is told of it. */
  copy(): { readonly dir: string; readonly input: CheckInput } {
    const dir = join(tmpDir('broken'), freshName('copy'));
    cpSync(this.#dir, dir, { recursive: true });
    return {
      dir,
      input: {
        published: this.#events.map(({ published }) => published),
        databaseUrl: `sqlite:${join(dir, 'w.sqlite')}`,
        stores: {
          [this.#manager]:
            this.#manager === 'db' ? { kind: 'tokens' } : { kind: 'local', file: join(dir, 'w.vault') },
        },
        secured: { kind: 'file', file: join(dir, 'secured.ndjson') },
        keys: [this.#key],
      },
    };
  }
}
