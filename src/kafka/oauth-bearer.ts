import type { AuthenticationProviderArgs, Mechanism } from 'kafkajs';
import type { SecretValue } from '../secret-value.js';

const SEPARATOR = '\u0001';
const LENGTH_BYTES = 4;

/**
 * OAUTHBEARER in place of kafkajs's own, which never reads what the broker answers: a refused token then counts as a
 * login, and the next request finds the connection closed for no reason told.
 *
 * A broker refuses in two steps: it answers with a description and no error; the client acknowledges that with one
 * separator and is then told the error, `SASL_AUTHENTICATION_FAILED`. Source: RFC 7628, sections 3.2.2 and 3.2.3.
 *
 * @param token asked for each login, also for those anew within one connection
 */
export function oauthBearer(token: () => Promise<SecretValue>): Mechanism {
  return {
    mechanism: 'oauthbearer',
    authenticationProvider: (connection) => ({ authenticate: async () => authenticate(connection, token) }),
  };
}

async function authenticate(
  { host, port, logger, saslAuthenticate }: AuthenticationProviderArgs,
  token: () => Promise<SecretValue>,
): Promise<void> {
  const value = (await token()).reveal();
  const say = async (message: string): Promise<number> => {
    const answerBytes = await saslAuthenticate({
      request: { encode: () => withLength(message) },
      response: { decode: (answer) => answer, parse: (answer) => answer.length - LENGTH_BYTES },
    });
    return answerBytes ?? 0;
  };
  const answerBytes = await say(`n,,${SEPARATOR}auth=Bearer ${value}${SEPARATOR}${SEPARATOR}`);
  if (answerBytes === 0) return;
  // What the description says is the broker's text, and stays where it is.
  logger.error('SASL OAUTHBEARER authentication failed', { broker: `${host}:${port}` });
  await say(SEPARATOR);
  throw new Error('the broker refused the token and named no error');
}

/** As Kafka's protocol has bytes: their number, big-endian, before them. */
function withLength(message: string): Buffer {
  const bytes = Buffer.from(message);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
