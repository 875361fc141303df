import { openToken } from './fernet.mjs';
import { masked } from './printer.mjs';
import { lastSent } from './samples.mjs';

const MASK = '*********';
const SEALED = 'fernet:';

/**
 * The documented example, from the rows to the value resolved back.
 *
 * @param securedEvents those of its connection, in order
 * @param samples what was sent so far
 */
export async function showExample(demo, securedEvents, samples) {
  const { printer, example, evidence } = demo;
  const id = example.change.entityId;
  const secured = securedEvents.at(-1);
  const [{ path, reference }] = secured.secretFields;
  const secretId = reference.replace(/^secret:/, '');
  showRows(demo, id, path, reference);

  printer.line();
  printer.line('in the vault:');
  const entry = evidence.vaultEntry(secretId);
  printer.check(entry !== undefined, `the vault has the secret ${secretId}`);
  printer.row('secret, version', entry);
  const sent = lastSent(samples, id, path);
  const held = openToken(demo.key, entry.sealed.replace(SEALED, ''));
  printer.check(
    !entry.sealed.includes(sent) && held === sent,
    'its value is sealed there, and is what was sent',
  );

  printer.line();
  printer.line('in connection.secured:');
  printer.json(secured);
  await showResolved(demo, reference, sent);
}

function showRows({ printer, evidence, key }, id, path, reference) {
  const connection = evidence.connection(id);
  const row = evidence.reference(id);
  printer.line('in the database:');
  printer.row('connection', connection);
  printer.row('secret_reference', row);
  printer.check(
    connection.entity.includes(`"password":"${MASK}"`),
    'the stored entity is masked: there is no password in it',
  );
  const opened = openToken(key, row.sealed.slice(SEALED.length));
  printer.check(
    row.sealed.startsWith(SEALED) && opened === reference && row.path === path,
    `the sealed reference opens to ${opened}`,
  );
}

async function showResolved({ printer, program }, reference, sent) {
  printer.line();
  printer.line('resolved back:');
  printer.command(`connection-secrets resolve ${reference}`);
  const answer = withoutLineBreak(await program.run(['resolve', reference]));
  printer.line(`${masked(answer)} (${[...answer].length} characters, hidden by this print)`);
  printer.check(answer === sent, 'it is equal to what was sent');
}

/** What became of every sample, as the inbox and the audit have it, against what the file says of it. */
export function showOutcomes({ printer, samples, evidence }, securedEvents) {
  const rows = samples.map(({ change, entity, expect, note }) => {
    const { outcome, code } = evidence.outcome(change.id) ?? { outcome: 'lost', code: null };
    const writes = evidence.writes(change.id);
    const isExpected =
      outcome === expect.outcome && code === (expect.code ?? null) && writes === expect.writes;
    return { change, name: entity.name, outcome, code, writes, note, isExpected };
  });
  printer.table([
    ['event', 'entity', 'outcome', 'store writes', ''],
    ...rows.map(({ change, name, outcome, code, writes, note }) => [
      change.eventType.replace('entity', '').toLowerCase(),
      name,
      code === null ? outcome : `${outcome}: ${code}`,
      String(writes),
      note,
    ]),
  ]);
  for (const { name, note, isExpected } of rows)
    if (!isExpected) printer.check(false, `${name} (${note}) comes out as its sample says`);
  printer.line();
  const applied = rows.filter(({ outcome }) => outcome === 'applied');
  printer.check(
    true,
    `all ${rows.length} came out as expected: ${applied.length} applied, ${rows.length - applied.length} refused`,
  );
  const secured = new Set(securedEvents.map(({ source }) => source.eventId));
  printer.check(
    securedEvents.length === applied.length && applied.every(({ change }) => secured.has(change.id)),
    `each applied event gave exactly one secured event (${securedEvents.length})`,
  );
  const writes = rows.reduce((sum, row) => sum + row.writes, 0);
  printer.check(evidence.vaultWrites() === writes, `the vault was written ${writes} times, no more`);
}

/** Every reference that now stands in a secured event, resolved and compared with what was last sent. */
export async function showReferences({ printer, program, samples }, securedEvents) {
  const newest = new Map(securedEvents.map((event) => [event.connectionId, event]));
  const fields = [...newest.values()].flatMap(({ connectionId, secretFields }) =>
    secretFields
      .filter(({ owned }) => owned)
      .map(({ path, reference }) => ({ reference, sent: lastSent(samples, connectionId, path) })),
  );
  const references = fields.map(({ reference }) => reference);
  // JSON: some values have line breaks of their own.
  const { items: answers } = JSON.parse(await program.run(['resolve', ...references, '--json']));
  printer.check(
    answers.length === fields.length && fields.every(({ sent }, index) => sent === answers[index].value),
    `all ${fields.length} references in the newest secured events resolve to what was last sent`,
  );
}

/** No text of a secret may lie anywhere: the files of the folder, the topics, what the program has printed. */
export function showSilence({ printer, program, evidence }, texts, topics = null) {
  const files = evidence.filesWith(texts);
  printer.check(
    files.length === 0,
    `none of the ${texts.length} secret texts lies in a file of the folder${files.length > 0 ? ` (${files.join(', ')})` : ''}`,
  );
  const isSilent = (text) =>
    texts.every((secret) => !text.includes(secret) && !text.includes(JSON.stringify(secret).slice(1, -1)));
  if (topics !== null)
    printer.check(isSilent(topics), 'nor in the topics connection.secured and connection.dead-letter');
  printer.check(
    isSilent(program.logs),
    `nor in the ${program.logs.split('\n').length - 1} lines of logs, written at level trace`,
  );
}

function withoutLineBreak(text) {
  return text.endsWith('\n') ? text.slice(0, -1) : text;
}
