const FLAGS = ['KAFKAJS_DEBUG_PROTOCOL_BUFFERS', 'KAFKAJS_DEBUG_EXTENDED_PROTOCOL_BUFFERS'];

/**
 * The variables that make kafkajs log whole requests and responses, with passwords. kafkajs accepts only `1`, but we refuse
 * any text: another version of it may accept others.
 */
export function unsafeFlagsIn(env: Readonly<Record<string, string | undefined>>): string[] {
  return FLAGS.filter((name) => (env[name] ?? '') !== '');
}
