import { createLogger, type Logger } from '../observability/logger.js';
import type { Cli } from './cli.js';

/**
 * What a command that answers and ends has to say besides its answer: on standard error, and only what went wrong unless
 * LOG_LEVEL asks for more.
 */
export function commandLogger(cli: Cli, config: { readonly log: { readonly level: string } }): Logger {
  const isAsked = (cli.env['LOG_LEVEL'] ?? '') !== '';
  return createLogger({ level: isAsked ? config.log.level : 'error', to: 'stderr' });
}
