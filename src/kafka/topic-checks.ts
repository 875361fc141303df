import type { Logger } from 'pino';
import { ConfigurationError, WorkerError } from '../errors.js';
import { askBroker } from './admin.js';
import type { KafkaSettings } from './settings.js';
import { readPartitionFacts } from './partitions.js';
import type { PartitionFacts } from './partitions.js';
import { describeTopicConfigs, sourceTopics } from './topics.js';
import type { TopicNames } from './topics.js';
import { READ_CODECS } from './unpack.js';

/** `error`: do not start; `warning`: something will go wrong one day; `info`: worth knowing. */
export type TopicSeverity = 'error' | 'warning' | 'info';

export interface TopicProblem {
  readonly severity: TopicSeverity;
  readonly topic: string;
  /** What is wrong. */
  readonly problem: string;
  /** What to do about it. */
  readonly remedy: string;
}

/** What the broker says about one topic. */
export interface TopicFacts {
  readonly topic: string;
  readonly partitions: number;
  readonly compacted: boolean;
  readonly deleted: boolean;
  /** -1: for ever. */
  readonly retentionMs: number;
  readonly maxMessageBytes: number;
  /** Empty where the broker does not say. */
  readonly compression: string;
}

const CONFIGS = ['cleanup.policy', 'retention.ms', 'max.message.bytes', 'compression.type'] as const;
/** `producer`: as whoever writes has compressed it. */
const COMPRESSIONS = ['', 'producer', 'uncompressed', ...READ_CODECS];
const DAY_MS = 86_400_000;
const LONGEST_SOURCE_MS = 31 * DAY_MS;
const SHORTEST_SECURED_MS = 31 * DAY_MS;

/**
 * Looks at the topics as they are on the broker. An empty list: all is well.
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
 * Logs what is odd about the topics and stops where something is wrong.
 * @throws ConfigurationError TOPICS_INVALID with one line for each error
 */
export function judgeTopicProblems(problems: readonly TopicProblem[], logger: Logger): void {
  const errors = problems.filter(({ severity }) => severity === 'error');
  for (const { severity, topic, problem, remedy } of problems) {
    if (severity === 'error') continue;
    logger[severity === 'warning' ? 'warn' : 'info']({ topic, problem, remedy }, 'topic');
  }
  if (errors.length === 0) return;
  const lines = errors.map(({ topic, problem, remedy }) => `  ${topic}: ${problem}; ${remedy}`);
  throw new ConfigurationError('TOPICS_INVALID', ['Topics are missing or unfit:', ...lines].join('\n'));
}

/** The topics can be judged without them; that nobody looked at the group is told. */
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
    const problem = `the offsets of the group ${settings.groupId} cannot be read (${error.message}): whether it has missed records is not known`;
    const remedy = 'grant Describe on the topic and on the group, or look again when the broker answers';
    return topics.map((topic) => ({ severity: 'warning', topic, problem, remedy }));
  }
}

/** Whether the group stands where there is nothing to read: what it has missed, or will read again. */
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
      : `partition ${partition}: the group has read up to ${committed}, the log ends at ${high}: the topic was made anew, or lost its end`;
  const remedy =
    committed < low
      ? 'publish the entities that changed in that time again; make retention.ms longer than a worker may be away'
      : 'nothing: a worker reads it from its beginning, the inbox knows what is handled already';
  return [{ severity: 'warning', topic, problem, remedy }];
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

/** The judgement alone, without a broker. */
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

const missing = (topic: string): TopicProblem => ({
  severity: 'error',
  topic,
  problem: 'the topic does not exist, or may not be described',
  remedy: 'run `connection-secrets topics create`, or grant Describe on the topic',
});

function mixedStreams(names: TopicNames): TopicProblem[] {
  const taken = new Set<string>(sourceTopics(names));
  return [names.secured, names.deadLetter].flatMap((topic) => {
    if (!taken.has(topic)) {
      taken.add(topic);
      return [];
    }
    const problem = 'one topic is configured for two streams: the worker would read what it writes';
    return [{ severity: 'error' as const, topic, problem, remedy: 'give each stream a topic of its own' }];
  });
}

function judgeCompression(facts: TopicFacts | undefined): TopicProblem[] {
  if (facts === undefined || COMPRESSIONS.includes(facts.compression)) return [];
  return [
    {
      severity: 'warning',
      topic: facts.topic,
      problem: `compression.type is ${facts.compression}: batches that are compressed by it are not read (BATCH_DAMAGED)`,
      remedy: `set compression.type to producer, or to one of ${READ_CODECS.join(', ')}`,
    },
  ];
}

function judgeSource(facts: TopicFacts): TopicProblem[] {
  if (facts.compacted) {
    return [
      {
        severity: 'error',
        topic: facts.topic,
        problem:
          'cleanup.policy has compact: passwords in the clear would stay for ever, and events would be lost',
        remedy: 'set cleanup.policy=delete and a short retention.ms',
      },
    ];
  }
  if (facts.retentionMs >= 0 && facts.retentionMs <= LONGEST_SOURCE_MS) return [];
  return [
    {
      severity: 'warning',
      topic: facts.topic,
      problem: `retention.ms is ${facts.retentionMs}: source events hold passwords in the clear`,
      remedy: `set retention.ms to what a replay needs, at most ${LONGEST_SOURCE_MS}`,
    },
  ];
}

function judgeSecured(facts: TopicFacts): TopicProblem[] {
  const { topic, retentionMs } = facts;
  const kept = !facts.deleted || retentionMs < 0 || retentionMs >= SHORTEST_SECURED_MS;
  if (kept) return [];
  return [
    {
      severity: 'warning',
      topic,
      problem: `cleanup.policy has delete and retention.ms is ${retentionMs}: connections that do not change disappear from the topic`,
      remedy: 'set cleanup.policy=compact, or a longer retention.ms',
    },
  ];
}

function judgeSize(secured: TopicFacts, sources: readonly TopicFacts[]): TopicProblem[] {
  const largest = Math.max(0, ...sources.map(({ maxMessageBytes }) => maxMessageBytes));
  if (secured.maxMessageBytes >= largest) return [];
  return [
    {
      severity: 'warning',
      topic: secured.topic,
      problem: `max.message.bytes is ${secured.maxMessageBytes}, source events may have ${largest}: large ones are refused (OUTPUT_TOO_LARGE)`,
      remedy: `set max.message.bytes=${largest}`,
    },
  ];
}

const compactedDeadLetters = ({ topic }: TopicFacts): TopicProblem => ({
  severity: 'warning',
  topic,
  problem:
    'cleanup.policy has compact: of several dead letters of a connection only the last one stays in the topic',
  remedy: 'set cleanup.policy=delete',
});

function judgePartitions(sources: readonly TopicFacts[]): TopicProblem[] {
  const [first, ...others] = sources;
  const odd =
    first === undefined ? undefined : others.find(({ partitions }) => partitions !== first.partitions);
  if (first === undefined || odd === undefined) return [];
  return [
    {
      severity: 'info',
      topic: odd.topic,
      problem: `${odd.partitions} partitions, ${first.topic} has ${first.partitions}: events of one connection go to different workers more often`,
      remedy: 'nothing has to be done: claims keep the order; equal numbers spare waiting',
    },
  ];
}
