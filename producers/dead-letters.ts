import type { StreamBinding, TopicNames } from '../src/kafka/index.js';

/** `connection.dead-letter`: events that cannot be processed as they are, sealed. */
export const deadLetters = ({ deadLetter }: Pick<TopicNames, 'deadLetter'>): StreamBinding => ({
  stream: 'dead-letter',
  topic: deadLetter,
});
