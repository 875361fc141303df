import type { TopicNames } from '../src/kafka/topics.js';
import type { StreamBinding } from './outlet.js';

/** `connection.dead-letter`: events that cannot be processed as they are, sealed. */
export const deadLetters = ({ deadLetter }: Pick<TopicNames, 'deadLetter'>): StreamBinding => ({
  stream: 'dead-letter',
  topic: deadLetter,
});
