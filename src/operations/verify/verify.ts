import { pause } from '../../pause.js';
import { connectionsAfter, countConnections, EVERY_CONNECTION } from '../../database/connection-pages.js';
import type { Database } from '../../database/database.js';
import type { ReferenceRow } from '../../database/rows.js';
import {
  findStrays,
  findUnsentSince,
  loadRecorded,
  secretsNamed,
  type RecordedConnection,
} from '../../database/verify-pages.js';
import { readingsOfStored, type OwnNames } from '../../pipeline/reference-refusals.js';
import { toReference } from '../../pipeline/references.js';
import type { SecretsManager } from '../../secrets-managers/port.js';
import { SECRET_PREFIX, type ManagerName, type Reference } from '../../terms.js';
import type { Progress } from '../progress.js';
import { finding, type Finding } from './finding.js';
import {
  isAltered,
  judgeReferences,
  judgeRows,
  openText,
  settledSecrets,
  type RowKeys,
} from './judge-rows.js';
import { judgeTags, judgeValue, type SecretInUse } from './judge-store.js';
import { listOwned, type Owned } from './owned.js';
import { StoreReader, type ReadGate } from './store-reader.js';

export interface VerifyParts extends RowKeys {
  readonly database: Database;
  /** The configured manager. Users' own references are read from its store. */
  readonly active: ManagerName;
  /** All managers that have secrets of this database. */
  readonly managers: readonly SecretsManager[];
  /** The prefixes of our secret ids, today's and former ones. */
  readonly ids: OwnNames;
  readonly gate: ReadGate;
  readonly progress: Progress;
  /** Only this connection; null: all. */
  readonly connectionId: string | null;
}

export interface VerifyReport {
  readonly checked: {
    readonly connections: number;
    /** Secrets of ours that were compared with the store. */
    readonly secrets: number;
    /** References of users. */
    readonly external: number;
    /** Secrets below our prefix that have our tags. */
    readonly listed: number;
  };
  readonly skipped: {
    /** Connections that changed, or were under a claim, each time they were looked at. */
    readonly busy: number;
    /** Secrets in doubt, which the janitor will check. */
    readonly inDoubt: number;
    /** Listed secrets of connections that this database does not know. */
    readonly unknownConnections: number;
    /** Listed secrets that belong to another installation. */
    readonly otherInstallations: number;
  };
  readonly findings: readonly Finding[];
  readonly interrupted: boolean;
}

const PAGE_SIZE = 100;
/** A record that is still unsent after this long is a finding, milliseconds. */
const UNSENT_AFTER_MS = 30_000;
/** How often to look at a connection that changes meanwhile, and the pause between looks, milliseconds. */
const LOOKS = 5;
const LOOK_AGAIN_MS = 500;

/**
 * Compares the database with the stores, both ways. Takes no claim and changes nothing. A worker may be changing what it
 * looks at. So it reads the rows before and after it asks the store. A finding counts only if nobody held a claim on the
 * connection, and none of its rows changed in between.
 */
export class Verification {
  readonly #parts: VerifyParts;
  readonly #signal: AbortSignal;
  readonly #readers: ReadonlyMap<ManagerName, StoreReader>;
  readonly #findings: Finding[] = [];
  #owned: ReadonlyMap<ManagerName, Owned> = new Map();
  #connections = 0;
  #secrets = 0;
  #external = 0;
  #inDoubt = 0;
  #busy = 0;
  #total: number | null = null;

  constructor(parts: VerifyParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
    this.#readers = new Map(
      parts.managers.map((manager) => [manager.name, new StoreReader(manager, parts.gate, signal)]),
    );
  }

  /** @throws WorkerError STORE_UNAVAILABLE, STORE_ACCESS, DATABASE_UNAVAILABLE */
  async run(): Promise<VerifyReport> {
    const { database, connectionId } = this.#parts;
    const counts = connectionId === null ? await countConnections(database, EVERY_CONNECTION) : { one: 1 };
    this.#total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    this.#report();
    const owned = new Map<ManagerName, Owned>();
    for (const [name, reader] of this.#readers) owned.set(name, await this.#listOwned(name, reader));
    this.#owned = owned;
    if (connectionId !== null) await this.#look([connectionId]);
    else await this.#lookAtAll();
    if (!this.#signal.aborted) await this.#lookAtRest();
    const owners = [...owned.values()];
    return {
      checked: {
        connections: this.#connections,
        secrets: this.#secrets,
        external: this.#external,
        listed: owners.reduce((sum, { listed }) => sum + listed, 0),
      },
      skipped: {
        busy: this.#busy,
        inDoubt: this.#inDoubt,
        unknownConnections: owners.reduce((sum, { unknownConnections }) => sum + unknownConnections, 0),
        otherInstallations: owners.reduce((sum, { otherInstallations }) => sum + otherInstallations, 0),
      },
      findings: this.#findings,
      interrupted: this.#signal.aborted,
    };
  }

  async #listOwned(name: ManagerName, reader: StoreReader): Promise<Owned> {
    const { database, ids, connectionId } = this.#parts;
    const owned = await listOwned(database, name, reader, {
      prefix: ids.ownPrefix,
      connectionId,
      signal: this.#signal,
    });
    this.#findings.push(...owned.findings);
    return owned;
  }

  async #lookAtAll(): Promise<void> {
    for (let after = ''; !this.#signal.aborted;) {
      const page = await connectionsAfter(this.#parts.database, EVERY_CONNECTION, after, PAGE_SIZE);
      await this.#look(page.map(({ id }) => id));
      if (page.length < PAGE_SIZE) return;
      after = page.at(-1)?.id ?? '';
    }
  }

  /** Looks at a page of connections. Looks again at those that changed meanwhile, up to {@link LOOKS} times. */
  async #look(ids: readonly string[]): Promise<void> {
    let left = ids;
    for (let look = 1; left.length > 0 && !this.#signal.aborted; look += 1) {
      if (look > LOOKS) {
        this.#busy += left.length;
        return;
      }
      if (look > 1) await pause(LOOK_AGAIN_MS, this.#signal);
      left = await this.#lookOnce(left);
    }
  }

  async #lookOnce(ids: readonly string[]): Promise<string[]> {
    const { database, ring } = this.#parts;
    const { before, secrets } = await database.run(async (tx) => {
      const recorded = await loadRecorded(tx, ids);
      const references = recorded.flatMap((one) => one.references);
      return { before: recorded, secrets: await secretsNamed(tx, readingsOfStored(references, ring)) };
    });
    const found = new Map<string, Finding[]>();
    const note = (id: string, more: readonly Finding[]): void => {
      found.set(id, [...(found.get(id) ?? []), ...more]);
    };
    for (const recorded of before) {
      note(recorded.connection.id, judgeRows(recorded, this.#parts));
      note(recorded.connection.id, judgeReferences(recorded, secrets, this.#parts));
    }
    const still = before.filter(({ isClaimed }) => !isClaimed);
    for (const [id, more] of await this.#askStores(still)) note(id, more);
    const after = new Map(
      (await database.run((tx) => loadRecorded(tx, ids))).map((recorded) => [
        recorded.connection.id,
        recorded,
      ]),
    );
    const moved: string[] = [];
    for (const recorded of before) {
      const { id } = recorded.connection;
      if (!heldStill(recorded, after.get(id))) moved.push(id);
      else this.#take(recorded, found.get(id) ?? []);
    }
    return moved;
  }

  #take({ stored, references }: RecordedConnection, found: readonly Finding[]): void {
    this.#connections += 1;
    this.#findings.push(...found);
    const live = stored.filter((row) => row.state === 'live' && this.#readers.has(row.manager));
    this.#secrets += live.filter(({ suspectUntilMs }) => suspectUntilMs === null).length;
    this.#inDoubt += live.filter(({ suspectUntilMs }) => suspectUntilMs !== null).length;
    this.#external += references.filter((row) => isExternal(row)).length;
    this.#report();
  }

  async #askStores(recorded: readonly RecordedConnection[]): Promise<(readonly [string, Finding[]])[]> {
    const answers: (readonly [string, Finding[]])[] = [];
    for (const [name, reader] of this.#readers) {
      const secrets = recorded.flatMap((one) =>
        settledSecrets(one).flatMap(({ row, field }) =>
          row.manager === name && field !== undefined ? [{ row, field }] : [],
        ),
      );
      answers.push(...(await this.#askValues(name, reader, secrets)));
    }
    const reader = this.#readers.get(this.#parts.active);
    if (reader !== undefined) answers.push(...(await this.#askExternal(reader, recorded)));
    return answers;
  }

  async #askValues(
    name: ManagerName,
    reader: StoreReader,
    secrets: readonly SecretInUse[],
  ): Promise<(readonly [string, Finding[]])[]> {
    const results = await reader.values(secrets.map(({ row }) => toReference(row.secretId)));
    const answers: (readonly [string, Finding[]])[] = [];
    for (const [index, secret] of secrets.entries()) {
      const result = results[index];
      if (result === undefined) continue;
      const { secretId, connectionId } = secret.row;
      const reference = toReference(secretId);
      const describe = () => reader.describe(reference);
      const value = await judgeValue(this.#parts.fingerprintKey, secret, result, describe);
      // The list may be outdated, so a secret that is not in it is looked at by itself.
      const isListed = this.#owned.get(name)?.ownerById.get(secretId) === connectionId;
      const tags = isListed || !result.ok ? null : judgeTags(secret, await describe());
      answers.push([connectionId, [value, tags].filter((one) => one !== null)]);
    }
    return answers;
  }

  async #askExternal(
    reader: StoreReader,
    recorded: readonly RecordedConnection[],
  ): Promise<(readonly [string, Finding[]])[]> {
    const { ring, active } = this.#parts;
    const fields = recorded.flatMap(({ references }) =>
      references.filter(isExternal).flatMap((row) => {
        const text = openText(row, ring);
        // Do not ask the store for a name that somebody else has put into the row.
        if (text?.startsWith(SECRET_PREFIX) !== true || isAltered(row, text, this.#parts)) return [];
        return [{ row, reference: text as Reference }];
      }),
    );
    const results = await reader.values(fields.map(({ reference }) => reference));
    return fields.flatMap(({ row, reference }, index) => {
      const result = results[index];
      if (result === undefined || result.ok) return [];
      const { path, connectionId } = row;
      const secretId = reference.slice(SECRET_PREFIX.length);
      const place = { manager: active, connectionId, path, secretId };
      return [[connectionId, [finding('external', place, result.error.message)]] as const];
    });
  }

  /** Finds what the rows of the known connections do not show. */
  async #lookAtRest(): Promise<void> {
    const { database, connectionId: only } = this.#parts;
    const isAsked = (id: string): boolean => only === null || only === id;
    const unsent = await database.run((tx) => findUnsentSince(tx, UNSENT_AFTER_MS));
    for (const { connectionId, sinceMs } of unsent.filter((row) => isAsked(row.connectionId)))
      this.#findings.push(
        finding('unsent', { connectionId }, `unpublished since ${new Date(sinceMs).toISOString()}`),
      );
    const strays = await database.run(findStrays);
    for (const { manager, connectionId, secretId } of strays.filter((row) => isAsked(row.connectionId)))
      this.#findings.push(
        finding('unreferenced', { manager, connectionId, secretId }, 'live, and its connection is not known'),
      );
  }

  #report(): void {
    this.#parts.progress.report({ done: this.#connections, total: this.#total, failed: 0 });
  }
}

function isExternal({ owned, holds }: ReferenceRow): boolean {
  return !owned && holds === 'reference';
}

/** Whether nobody held a claim on the connection and none of its rows changed. */
function heldStill(before: RecordedConnection, after: RecordedConnection | undefined): boolean {
  if (after === undefined || before.isClaimed || after.isClaimed) return false;
  return shapeOf(before) === shapeOf(after);
}

function shapeOf({ connection, references, stored }: RecordedConnection): string {
  return JSON.stringify([
    connection.revision,
    connection.state,
    references
      .map((row) => [row.pathHash, row.fingerprint, row.referenceHash, row.secretId, row.digest])
      .sort(),
    stored
      .map((row) => [row.secretIdHash, row.manager, row.state, row.epoch, row.version, row.suspectUntilMs])
      .sort(),
  ]);
}
