import { loadConfig } from '../config.js';
import { wholePage } from '../database/page.js';
import { EXIT } from './cli.js';
import { command, commands, option } from './define-command.js';
import { commandLogger } from './logging.js';
import { listAnswer } from './output.js';
import { retention, wholeNumber } from './parse.js';

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
  names: 'topic',
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
    return listAnswer(wholePage(created), {
      TOPIC: ({ topic }) => topic,
      OUTCOME: ({ outcome }) => outcome,
    });
  },
});

const check = command({
  name: 'check',
  names: 'topic',
  about: 'look at the topics as they are on the broker; 1 where something is wrong',
  examples: ['topics check', 'topics check --json'],
  run: async (cli) => {
    const config = loadConfig(cli.env, { need: ['kafka'] });
    const { checkTopics } = await import('../kafka/topic-checks.js');
    const { kafkaSettings } = await import('../kafka/settings-from-config.js');
    const problems = await checkTopics(kafkaSettings(config), config.topics, commandLogger(cli, config));
    return {
      json: wholePage(problems),
      text: ({ mark }) =>
        problems.length === 0
          ? 'The topics are as they should be.'
          : problems
              .map(
                ({ severity, topic, problem, remedy }) =>
                  `${mark(severity)}: ${topic}: ${problem}\n  hint: ${remedy}`,
              )
              .join('\n'),
      code: problems.some(({ severity }) => severity === 'error') ? EXIT.failed : EXIT.ok,
    };
  },
});

export const topics = commands('topics', "the worker's Kafka topics", [create, check]);
