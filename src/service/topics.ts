import { ConfigurationError } from '../errors.js';
import type { TopicProblem } from '../kafka/index.js';
import type { Logger } from '../observability/index.js';

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
