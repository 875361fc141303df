import type { TopicNames } from '../src/kafka/topics.js';
import type { StreamBinding } from './outlet.js';

/** `connection.secured`: every applied event, with references in place of values, keyed by the connection's id. */
export const securedEvents = ({ secured }: Pick<TopicNames, 'secured'>): StreamBinding => ({
  stream: 'secured',
  topic: secured,
});
