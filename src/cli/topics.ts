import { loadConfig } from '../config.js';
import { EXIT } from './cli.js';
import { command, commands, option } from './define-command.js';
import { commandLogger } from './logging.js';
import { retention, wholeNumber } from './parse.js';
import { formatTable } from './text.js';

interface CreateOptions {
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly sourceRetention?: number;
  readonly securedRetention: 'compact' | number;
  readonly deadLetterRetention?: number;
  readonly maxMessageBytes?: number;
}

const create = command<CreateOptions>({
  name: 'create',
  about: 'create the topics that are missing; those that exist are left as they are',
  options: [
    option('--partitions <number>', 'partitions of each topic', wholeNumber(1, 10_000), 6),
    option('--replication-factor <number>', "replicas; -1: the broker's default", wholeNumber(-1, 32), -1),
    option('--source-retention <ms>', 'how long source events stay (default: 7 days)', wholeNumber(-1)),
    option<'compact' | number>(
      '--secured-retention <compact|ms>',
      'connection.secured: compacted, or how long events stay',
      retention,
      'compact',
    ),
    option('--dead-letter-retention <ms>', 'how long dead letters stay (default: 30 days)', wholeNumber(-1)),
    option('--max-message-bytes <bytes>', 'max.message.bytes of each topic', wholeNumber(1_024)),
  ],
  examples: [
    'topics create',
    'topics create --partitions 12 --replication-factor 3',
    'topics create --secured-retention 2592000000',
  ],
  run: async (cli, options) => {
    const { partitions, replicationFactor, securedRetention, maxMessageBytes } = options;
    const { sourceRetention, deadLetterRetention } = options;
    const config = loadConfig(cli.env, { need: ['kafka'] });
    const { createTopics } = await import('../kafka/topics.js');
    const { kafkaSettings } = await import('../kafka/settings-from-config.js');
    const plan = {
      ...{ names: config.topics, partitions, replicationFactor, securedRetention },
      ...(sourceRetention === undefined ? {} : { sourceRetentionMs: sourceRetention }),
      ...(deadLetterRetention === undefined ? {} : { deadLetterRetentionMs: deadLetterRetention }),
      ...(maxMessageBytes === undefined ? {} : { maxMessageBytes }),
    };
    const created = await createTopics(kafkaSettings(config), plan, commandLogger(cli, config));
    return {
      json: created,
      text: () =>
        formatTable(
          ['TOPIC', 'OUTCOME'],
          created.map(({ topic, outcome }) => [topic, outcome]),
        ),
    };
  },
});

const check = command({
  name: 'check',
  about: 'look at the topics as they are on the broker; 1 where something is wrong',
  examples: ['topics check', 'topics check --json'],
  run: async (cli) => {
    const config = loadConfig(cli.env, { need: ['kafka'] });
    const { checkTopics } = await import('../kafka/topic-checks.js');
    const { kafkaSettings } = await import('../kafka/settings-from-config.js');
    const problems = await checkTopics(kafkaSettings(config), config.topics, commandLogger(cli, config));
    const told = problems.map(
      ({ severity, topic, problem, remedy }) => `${severity}: ${topic}: ${problem}\n  hint: ${remedy}`,
    );
    return {
      json: problems,
      text: () => (told.length === 0 ? 'The topics are as they should be.' : told.join('\n')),
      code: problems.some(({ severity }) => severity === 'error') ? EXIT.failed : EXIT.ok,
    };
  },
});

export const topics = commands('topics', "the worker's Kafka topics", [create, check]);
