import type { Logger } from 'pino';
import { ConfigurationError, WorkerError } from '../errors.js';
import { askBroker } from './admin.js';
import type { KafkaSettings } from './settings.js';
import { readPartitionFacts } from './partitions.js';
import type { PartitionFacts } from './partitions.js';
import { describeTopicConfigs, sourceTopics } from './topics.js';
import type { TopicNames } from './topics.js';
import { READ_CODECS } from './unpack.js';

/** `error`: the worker does not start; `warning`: something will go wrong one day; `info`: worth knowing. */
type TopicSeverity = 'error' | 'warning' | 'info';

export interface TopicProblem {
  readonly severity: TopicSeverity;
  readonly topic: string;
  readonly problem: string;
  readonly remedy: string;
}

/** What the broker says about one topic. */
export interface TopicFacts {
  readonly topic: string;
  readonly partitions: number;
  readonly compacted: boolean;
  readonly deleted: boolean;
  /** -1: forever. */
  readonly retentionMs: number;
  readonly maxMessageBytes: number;
  /** Empty if the broker does not say. */
  readonly compression: string;
}

const CONFIGS = ['cleanup.policy', 'retention.ms', 'max.message.bytes', 'compression.type'] as const;
/** `producer`: in the codec of each producer. */
const COMPRESSIONS = ['', 'producer', 'uncompressed', ...READ_CODECS];
const DAY_MS = 86_400_000;
const LONGEST_SOURCE_MS = 31 * DAY_MS;
const SHORTEST_SECURED_MS = 31 * DAY_MS;

/**
 * Checks the topics on the broker. Returns an empty list if all is well.
 * @throws WorkerError BROKER_UNAVAILABLE
 */
export async function checkTopics(
  settings: KafkaSettings,
  names: TopicNames,
  logger: Logger,
): Promise<readonly TopicProblem[]> {
  const topics = [...sourceTopics(names), names.secured, names.deadLetter];
  const facts = await readFacts(settings, topics, logger);
  const sources = sourceTopics(names).filter((topic) => facts.has(topic));
  return [...judgeTopics(names, facts), ...(await checkPositions(settings, sources, logger))];
}

/**
 * Logs warnings and infos about the topics.
 * @throws ConfigurationError TOPICS_INVALID if there are errors, with one line for each
 */
export function judgeTopicProblems(problems: readonly TopicProblem[], logger: Logger): void {
  const errors = problems.filter(({ severity }) => severity === 'error');
  for (const { severity, topic, problem, remedy } of problems) {
    if (severity === 'error') continue;
    logger[severity === 'warning' ? 'warn' : 'info']({ topic, problem, remedy }, 'check of a topic');
  }
  if (errors.length === 0) return;
  const lines = errors.map(({ topic, problem, remedy }) => `  ${topic}: ${problem}; ${remedy}`);
  throw new ConfigurationError('TOPICS_INVALID', ['Topics are missing or unfit:', ...lines].join('\n'));
}

/** If the offsets cannot be read, that is a warning of its own: the topics can be judged without them. */
async function checkPositions(
  settings: KafkaSettings,
  topics: readonly string[],
  logger: Logger,
): Promise<TopicProblem[]> {
  if (topics.length === 0) return [];
  try {
    return (await readPartitionFacts(settings, topics, logger)).flatMap(judgePosition);
  } catch (error) {
    if (!(error instanceof WorkerError)) throw error;
    const problem = `the offsets of the group ${settings.groupId} cannot be read (${error.message}): it may have missed records`;
    const remedy = 'grant Describe on the topic and on the group, or check again when the broker answers';
    return topics.map((topic) => warning(topic, problem, remedy));
  }
}

/** Judges the group's committed offset: has the group missed records, or will it read the log again? */
export function judgePosition({
  topic,
  partition,
  low,
  high,
  committed,
}: Pick<PartitionFacts, 'topic' | 'partition' | 'low' | 'high' | 'committed'>): TopicProblem[] {
  if (committed === null || (committed >= low && committed <= high)) return [];
  const problem =
    committed < low
      ? `partition ${partition}: the offsets ${committed} to ${low - 1} (${low - committed} records) were deleted before the group had read them`
      : `partition ${partition}: the group has read up to ${committed}, the log ends at ${high}: the topic was recreated, or the log lost its end`;
  const remedy =
    committed < low
      ? 'publish the entities again that changed in that time; make retention.ms longer than a worker may be down'
      : 'nothing: a worker reads the topic from its beginning, and the inbox drops what it has handled already';
  return [warning(topic, problem, remedy)];
}

async function readFacts(
  settings: KafkaSettings,
  topics: readonly string[],
  logger: Logger,
): Promise<ReadonlyMap<string, TopicFacts>> {
  return askBroker(settings, logger, 'checking topics', async (admin) => {
    const existing = new Set(await admin.listTopics());
    const wanted = [...new Set(topics)].filter((topic) => existing.has(topic));
    if (wanted.length === 0) return new Map();
    const metadata = await admin.fetchTopicMetadata({ topics: wanted });
    const configs = await describeTopicConfigs(admin, wanted, CONFIGS);
    return new Map(
      metadata.topics.map(({ name, partitions }) => {
        const config = configs.get(name);
        const policy = (config?.get('cleanup.policy') ?? '').split(',').map((word) => word.trim());
        const facts: TopicFacts = {
          topic: name,
          partitions: partitions.length,
          compacted: policy.includes('compact'),
          deleted: policy.includes('delete'),
          retentionMs: Number(config?.get('retention.ms') ?? -1),
          maxMessageBytes: Number(config?.get('max.message.bytes') ?? 0),
          compression: config?.get('compression.type') ?? '',
        };
        return [name, facts];
      }),
    );
  });
}

/** Judges the topics by these facts alone. */
export function judgeTopics(
  names: TopicNames,
  facts: ReadonlyMap<string, TopicFacts>,
): readonly TopicProblem[] {
  const all = [...new Set([...sourceTopics(names), names.secured, names.deadLetter])];
  const sources = sourceTopics(names).flatMap((topic) => facts.get(topic) ?? []);
  const secured = facts.get(names.secured);
  const deadLetter = facts.get(names.deadLetter);
  return [
    ...all.filter((topic) => !facts.has(topic)).map(missing),
    ...mixedStreams(names),
    ...all.flatMap((topic) => judgeCompression(facts.get(topic))),
    ...sources.flatMap(judgeSource),
    ...(secured === undefined ? [] : [...judgeSecured(secured), ...judgeSize(secured, sources)]),
    ...(deadLetter?.compacted === true ? [compactedDeadLetters(deadLetter)] : []),
    ...judgePartitions(sources),
  ];
}

const problemOf =
  (severity: TopicSeverity) =>
  (topic: string, problem: string, remedy: string): TopicProblem => ({ severity, topic, problem, remedy });
const error = problemOf('error');
const warning = problemOf('warning');
const info = problemOf('info');

const missing = (topic: string): TopicProblem =>
  error(
    topic,
    'the topic does not exist, or the worker may not describe it',
    'run `connection-secrets topics create`, or grant Describe on the topic',
  );

function mixedStreams(names: TopicNames): TopicProblem[] {
  const taken = new Set<string>(sourceTopics(names));
  return [names.secured, names.deadLetter].flatMap((topic) => {
    if (!taken.has(topic)) {
      taken.add(topic);
      return [];
    }
    const problem = 'one topic is configured for two streams: the worker would read what it writes';
    return [error(topic, problem, 'give each stream a topic of its own')];
  });
}

function judgeCompression(facts: TopicFacts | undefined): TopicProblem[] {
  if (facts === undefined || COMPRESSIONS.includes(facts.compression)) return [];
  return [
    warning(
      facts.topic,
      `compression.type is ${facts.compression}: the worker cannot read batches in this codec (BATCH_DAMAGED)`,
      `set compression.type to producer, or to one of ${READ_CODECS.join(', ')}`,
    ),
  ];
}

function judgeSource({ topic, compacted, retentionMs }: TopicFacts): TopicProblem[] {
  if (compacted) {
    const problem =
      'cleanup.policy has compact: plaintext passwords would stay forever, and Kafka would delete events';
    return [error(topic, problem, 'set cleanup.policy=delete and a short retention.ms')];
  }
  if (retentionMs >= 0 && retentionMs <= LONGEST_SOURCE_MS) return [];
  return [
    warning(
      topic,
      `retention.ms is ${retentionMs}: source events may hold plaintext passwords`,
      `set retention.ms to what a replay needs, at most ${LONGEST_SOURCE_MS}`,
    ),
  ];
}

function judgeSecured({ topic, deleted, retentionMs }: TopicFacts): TopicProblem[] {
  if (!deleted || retentionMs < 0 || retentionMs >= SHORTEST_SECURED_MS) return [];
  return [
    warning(
      topic,
      `cleanup.policy has delete and retention.ms is ${retentionMs}: Kafka deletes connections that do not change`,
      'set cleanup.policy=compact, or a longer retention.ms',
    ),
  ];
}

function judgeSize({ topic, maxMessageBytes }: TopicFacts, sources: readonly TopicFacts[]): TopicProblem[] {
  const largest = Math.max(0, ...sources.map((source) => source.maxMessageBytes));
  if (maxMessageBytes >= largest) return [];
  const problem = `max.message.bytes is ${maxMessageBytes}, but source events may have ${largest}: the worker refuses events that become too large (OUTPUT_TOO_LARGE)`;
  return [warning(topic, problem, `set max.message.bytes=${largest}`)];
}

const compactedDeadLetters = ({ topic }: TopicFacts): TopicProblem =>
  warning(
    topic,
    'cleanup.policy has compact: only the last dead letter of each connection stays in the topic',
    'set cleanup.policy=delete',
  );

function judgePartitions([first, ...others]: readonly TopicFacts[]): TopicProblem[] {
  const odd = others.find(({ partitions }) => partitions !== first?.partitions);
  if (first === undefined || odd === undefined) return [];
  return [
    info(
      odd.topic,
      `${odd.partitions} partitions, but ${first.topic} has ${first.partitions}: events of one connection go to different workers more often`,
      'nothing has to be done: claims keep the order; equal numbers save waiting time',
    ),
  ];
}
