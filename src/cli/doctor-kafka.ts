import type { Config } from '../config.js';
import { checkTopics, type TopicProblem } from '../kafka/topic-checks.js';
import { ping } from '../kafka/admin.js';
import type { Logger } from '../observability/logger.js';
import { kafkaSettings } from '../kafka/settings-from-config.js';
import { attempt, failed, ok, skipped, warned, type CheckResult } from './doctor-check.js';

const PING_DEADLINE_MS = 5_000;

/** Broker and topics; skipped where no broker is configured (`pipe` needs none). */
export async function checkKafka(config: Config<'keys'>, logger: Logger): Promise<readonly CheckResult[]> {
  const { kafka, claims } = config;
  if (kafka === null) return [skipped('broker', 'KAFKA_BROKERS is not set: `pipe` needs none, `start` does')];
  const broker = await attempt('broker', async () => {
    await ping(kafkaSettings({ kafka, claims }), { logger, deadlineMs: PING_DEADLINE_MS });
    return ok('broker', 'a broker answers');
  });
  if (broker.some(({ result }) => result === 'failed'))
    return [...broker, skipped('topics', 'no broker answers')];
  const topics = await attempt('topics', async () => {
    const problems = await checkTopics(kafkaSettings({ kafka, claims }), config.topics, logger);
    return problems.length === 0 ? ok('topics', 'as they should be') : problems.map(asResult);
  });
  return [...broker, ...topics];
}

function asResult({ severity, topic, problem, remedy }: TopicProblem): CheckResult {
  const check = `topic ${topic}`;
  switch (severity) {
    case 'error':
      return failed(check, problem, remedy, 'TOPICS_INVALID');
    case 'warning':
      return warned(check, problem, remedy);
    case 'info':
      return ok(check, problem);
  }
}
