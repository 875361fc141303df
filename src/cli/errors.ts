import { CommanderError } from 'commander';
import { SettingsError } from '../config.js';
import { ERROR_CODES, WorkerError, type ErrorCode } from '../errors.js';
import { safeError } from '../observability/logger.js';
import { EXIT, PROGRAM, type Cli, type ExitCode } from './cli.js';
import { coloured, printable } from './text.js';

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

/** What helps a person whose command has ended: a worker goes on by itself, and its remedy says so. */
const AFTER_THE_END: Partial<Record<ErrorCode, string>> = {
  DATABASE_UNAVAILABLE: 'Check that the database of DATABASE_URL answers, then run the command again.',
  STORE_UNAVAILABLE:
    'Check that the store answers: its address, network and quota. Then run the command again.',
  STORE_ACCESS: 'Renew the credentials of the store or grant the permissions. Then run the command again.',
  BROKER_UNAVAILABLE:
    'Check that KAFKA_BROKERS answer: address, network, certificates. Then run the command again.',
  CLAIM_LOST: 'A worker had the connection: run the command again.',
};

function hintOf({ code, remedy }: Pick<WorkerError, 'code' | 'remedy'>, command: string): string {
  const isOwn = remedy !== ERROR_CODES[code].remedy;
  if (isOwn) return remedy;
  return code === 'USAGE_INVALID' ? `See ${command} --help` : (AFTER_THE_END[code] ?? remedy);
}

const QUIET: ReadonlySet<string> = new Set(['commander.helpDisplayed', 'commander.version']);

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommanderError) return QUIET.has(error.code) ? EXIT.ok : EXIT.usage;
  return error instanceof WorkerError && error.kind === 'configuration' ? EXIT.usage : EXIT.failed;
}

/** @param command what was called, without its arguments: `connection-secrets audit list` */
export function shownError(error: unknown, command = PROGRAM): ShownError {
  if (error instanceof CommanderError) return usageError(error, command);
  if (error instanceof WorkerError) {
    const { code, message } = error;
    const hint = hintOf(error, command);
    return { code, message, hint, ...(error instanceof SettingsError ? { problems: error.problems } : {}) };
  }
  const shown = safeError(error);
  const { remedy } = ERROR_CODES.INTERNAL;
  if ('code' in shown) return { ...shown, hint: remedy };
  return { code: 'INTERNAL', message: shown.name, hint: remedy, frames: shown.frames };
}

/** Says on standard error what went wrong and what to do, as text or as JSON; nothing for `--help`. */
export function reportError(error: unknown, cli: Cli, asJson: boolean, command = PROGRAM): ExitCode {
  if (error instanceof CommanderError && (QUIET.has(error.code) || error.code === 'commander.help'))
    return exitCodeOf(error);
  const shown = shownError(error, command);
  cli.stderr.write(asJson ? `${JSON.stringify({ error: shown })}\n` : asText(shown, cli));
  return exitCodeOf(error);
}

function asText({ code, message, hint, frames = [] }: ShownError, { stderr }: Cli): string {
  const [first = '', ...rest] = message.split('\n').map(printable);
  return [
    `${coloured('error', stderr)}: ${code}: ${first}`,
    ...rest,
    ...frames.map((frame) => `  ${frame}`),
    `hint: ${hint}`,
    '',
  ].join('\n');
}

/** Of an option's name: what the ones that exist look like. Anything else may be a value typed in the wrong place. */
const OPTION_NAME = /^(?:--[a-z][a-z-]{0,40}|-[A-Za-z])/;
const SUGGESTION = /\n(\(Did you mean (?:one of )?[a-z, -]{1,200}\?\))$/;

/** commander quotes what was typed; only names of ours and what it expects instead go on. */
function usageError(error: CommanderError, command: string): ShownError {
  const text = error.message.replace(/^error: /, '');
  const suggestion = SUGGESTION.exec(text)?.[1];
  const message = [withoutQuotes(error.code, text), ...(suggestion === undefined ? [] : [suggestion])].join(
    ' ',
  );
  return {
    code: 'USAGE_INVALID',
    message: message.replaceAll('\n', ' '),
    hint: hintOf({ code: 'USAGE_INVALID', remedy: ERROR_CODES.USAGE_INVALID.remedy }, command),
  };
}

function withoutQuotes(code: string, text: string): string {
  switch (code) {
    case 'commander.unknownOption':
      return unknownOption(text);
    case 'commander.unknownCommand':
      return 'unknown command';
    case 'commander.invalidArgument': {
      const argument = /^command-argument value .* is invalid for argument '([^']*)'\. (.*)$/s.exec(text);
      if (argument !== null) return `argument <${argument[1]}>: ${argument[2]}`;
      const [whose] = /^option '[^']*'/.exec(text) ?? ['an argument'];
      const end = text.lastIndexOf("' is invalid");
      return `${whose}: its argument${end < 0 ? ' is invalid.' : text.slice(end + 1)}`;
    }
    default:
      return text;
  }
}

function unknownOption(text: string): string {
  const given = text.slice("unknown option '".length);
  const [name = ''] = OPTION_NAME.exec(given) ?? [];
  const whole = given === `${name}'` || given.startsWith(`${name}'\n(Did you mean`);
  const isName = whole || (name.startsWith('--') ? given[name.length] === '=' : name !== '');
  return `unknown option '${isName ? name : ''}${whole ? '' : '…'}'`;
}
