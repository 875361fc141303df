import type { Command } from 'commander';
import { loadConfig } from '../config.js';
import { EXIT, printJson, printLine, type Cli, type Done } from './cli.js';
import { commandLogger } from './logging.js';
import { retention, wholeNumber } from './parse.js';
import { examples, formatTable } from './text.js';

interface CreateOptions {
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly sourceRetention?: number;
  readonly securedRetention: 'compact' | number;
  readonly deadLetterRetention?: number;
  readonly maxMessageBytes?: number;
  readonly json?: true;
}

export function defineTopics(program: Command, cli: Cli, done: Done): void {
  const topics = program.command('topics').description("the worker's Kafka topics");
  topics
    .command('create')
    .description('create the topics that are missing; those that exist are left as they are')
    .option('--partitions <number>', 'partitions of each topic', wholeNumber(1, 10_000), 6)
    .option('--replication-factor <number>', "replicas; -1: the broker's default", wholeNumber(-1, 32), -1)
    .option('--source-retention <ms>', 'how long source events stay (default: 7 days)', wholeNumber(-1))
    .option(
      '--secured-retention <compact|ms>',
      'connection.secured: compacted, or how long events stay',
      retention,
      'compact' as const,
    )
    .option('--dead-letter-retention <ms>', 'how long dead letters stay (default: 30 days)', wholeNumber(-1))
    .option('--max-message-bytes <bytes>', 'max.message.bytes of each topic', wholeNumber(1_024))
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      examples(
        'topics create',
        'topics create --partitions 12 --replication-factor 3',
        'topics create --secured-retention 2592000000',
      ),
    )
    .action(async (options: CreateOptions) => {
      const config = loadConfig(cli.env, { need: ['kafka'] });
      const { createTopics } = await import('../kafka/topics.js');
      const { kafkaSettings } = await import('../kafka/settings-from-config.js');
      const plan = {
        names: config.topics,
        partitions: options.partitions,
        replicationFactor: options.replicationFactor,
        securedRetention: options.securedRetention,
        ...(options.sourceRetention === undefined ? {} : { sourceRetentionMs: options.sourceRetention }),
        ...(options.deadLetterRetention === undefined
          ? {}
          : { deadLetterRetentionMs: options.deadLetterRetention }),
        ...(options.maxMessageBytes === undefined ? {} : { maxMessageBytes: options.maxMessageBytes }),
      };
      const created = await createTopics(kafkaSettings(config), plan, commandLogger(cli, config));
      if (options.json) printJson(cli, created);
      else
        printLine(
          cli,
          formatTable(
            ['TOPIC', 'OUTCOME'],
            created.map(({ topic, outcome }) => [topic, outcome]),
          ),
        );
      done(EXIT.ok);
    });
  topics
    .command('check')
    .description('look at the topics as they are on the broker; 1 where something is wrong')
    .option('--json', 'print it as JSON')
    .addHelpText('after', examples('topics check', 'topics check --json'))
    .action(async ({ json }: { json?: true }) => {
      const config = loadConfig(cli.env, { need: ['kafka'] });
      const { checkTopics } = await import('../kafka/topic-checks.js');
      const { kafkaSettings } = await import('../kafka/settings-from-config.js');
      const problems = await checkTopics(kafkaSettings(config), config.topics, commandLogger(cli, config));
      if (json) printJson(cli, problems);
      else if (problems.length === 0) printLine(cli, 'The topics are as they should be.');
      else
        for (const { severity, topic, problem, remedy } of problems)
          printLine(cli, `${severity}: ${topic}: ${problem}\n  hint: ${remedy}`);
      done(problems.some(({ severity }) => severity === 'error') ? EXIT.failed : EXIT.ok);
    });
}
