import { createInterface } from 'node:readline';
import { ConfigurationError } from '../errors.js';
import { isTerminal, type Cli } from './cli.js';
import { printable } from './text.js';

/**
 * Asks whether something is meant that can hurt: at a terminal, a person; anywhere else nobody is there to ask.
 * @param what what will happen, with counts
 * @throws ConfigurationError NOT_CONFIRMED, with nothing changed
 */
export async function confirm({ stdin, stderr }: Cli, what: string): Promise<void> {
  if (!isTerminal(stdin) || !isTerminal(stderr)) throw new ConfigurationError('NOT_CONFIRMED', what);
  stderr.write(`${printable(what)}\nGo on? Type yes: `);
  const lines = createInterface({ input: stdin });
  const answer = await new Promise<string>((resolve) => {
    lines.once('line', resolve).once('close', () => resolve(''));
  });
  lines.close();
  if (answer.trim().toLowerCase() !== 'yes')
    throw new ConfigurationError('NOT_CONFIRMED', 'the answer was not yes: nothing was changed');
}
