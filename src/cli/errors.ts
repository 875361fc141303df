import { CommanderError } from 'commander';
import { SettingsError } from '../config.js';
import { ERROR_CODES, WorkerError } from '../errors.js';
import { safeError } from '../observability/safe-error.js';
import { EXIT, type Cli, type ExitCode } from './cli.js';
import { printable } from './text.js';

/** An error as a person or a program reads it. */
export interface ShownError {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  /** Of a configuration: each mistake by its setting. */
  readonly problems?: readonly { readonly name: string; readonly message: string }[];
  /** Of a defect: where in the code. */
  readonly frames?: readonly string[];
}

const QUIET: ReadonlySet<string> = new Set(['commander.helpDisplayed', 'commander.version']);

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommanderError) return QUIET.has(error.code) ? EXIT.ok : EXIT.usage;
  return error instanceof WorkerError && error.kind === 'configuration' ? EXIT.usage : EXIT.failed;
}

export function shownError(error: unknown): ShownError {
  if (error instanceof CommanderError) return usageError(error);
  if (error instanceof WorkerError) {
    const { code, message, remedy: hint } = error;
    return { code, message, hint, ...(error instanceof SettingsError ? { problems: error.problems } : {}) };
  }
  const shown = safeError(error);
  const { remedy } = ERROR_CODES.INTERNAL;
  if ('code' in shown) return { ...shown, hint: remedy };
  return { code: 'INTERNAL', message: shown.name, hint: remedy, frames: shown.frames };
}

/** Says on standard error what went wrong and what to do, as text or as JSON; nothing for `--help`. */
export function reportError(error: unknown, cli: Cli, asJson: boolean): ExitCode {
  if (error instanceof CommanderError && (QUIET.has(error.code) || error.code === 'commander.help'))
    return exitCodeOf(error);
  const shown = shownError(error);
  cli.stderr.write(asJson ? `${JSON.stringify({ error: shown })}\n` : asText(shown));
  return exitCodeOf(error);
}

function asText({ code, message, hint, frames = [] }: ShownError): string {
  const [first = '', ...rest] = message.split('\n').map(printable);
  return [
    `error: ${code}: ${first}`,
    ...rest,
    ...frames.map((frame) => `  ${frame}`),
    `hint: ${hint}`,
    '',
  ].join('\n');
}

function usageError(error: CommanderError): ShownError {
  const message = error.message
    .replace(/^error: /, '')
    // An option's text may be anything, and was typed in the wrong place.
    .replace(/(unknown option '[^'=]*)=[^']*'/, "$1=…'")
    .replaceAll('\n', ' ');
  return { code: 'USAGE_INVALID', message, hint: ERROR_CODES.USAGE_INVALID.remedy };
}
