import type { StreamBinding, TopicNames } from '../src/kafka/index.js';

/** `connection.secured`: every applied event, with references in place of values, keyed by the connection's id. */
export const securedEvents = ({ secured }: Pick<TopicNames, 'secured'>): StreamBinding => ({
  stream: 'secured',
  topic: secured,
});
