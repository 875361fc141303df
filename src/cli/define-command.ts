import { Option, type Argument, type Command } from 'commander';
import { ConfigurationError } from '../errors.js';
import { EXIT, type Cli, type ExitCode } from './cli.js';
import { confirm } from './confirm.js';
import { outputOptions, print, type Answer, type OutputOptions } from './output.js';
import { actorName } from './parse.js';

export interface CommandSpec<O, A extends readonly unknown[]> {
  readonly name: string;
  readonly about: string;
  readonly args?: readonly Argument[];
  readonly options?: readonly Option[];
  /** False: the command prints by itself and has no `--output`. */
  readonly hasOutput?: false;
  /** The member of each item (or of the one answer) that `--output name` prints. Default: there is no such output. */
  readonly names?: string;
  readonly examples: readonly string[];
  /** Below the examples. */
  readonly notes?: string;
  /** What the exit codes 0, 1 and 3 mean, where that is more than done and failed. */
  readonly exits?: readonly [done: string, failed: string, deadLetters?: string];
  /** The command writes audit entries: `--actor` or AUDIT_ACTOR says whom they name. */
  readonly isAudited?: true;
  /** What will happen, with counts; the user has to confirm it, or give `--yes`. Null: it can do no harm. */
  readonly confirms?: (cli: Cli, options: O, ...args: A) => Promise<string | null>;
  /** Returns a code alone where the command has printed everything itself. */
  run(cli: Cli, options: O, ...args: A): Promise<Answer | ExitCode>;
  readonly subcommands?: readonly Define[];
}

/** Adds a command to its parent; `done` is called once, with how it ended. */
export type Define = (parent: Command, cli: Cli, done: (code: ExitCode) => void) => void;

/** Defines a command: its options, its help, and how its answer is printed. */
export function command<O, A extends readonly unknown[] = []>(spec: CommandSpec<O, A>): Define {
  const { hasOutput = true, names, exits, notes, subcommands = [] } = spec;
  const options = [
    ...(spec.options ?? []),
    ...(spec.confirms === undefined ? [] : [new Option('--yes', 'do not ask')]),
    ...(spec.isAudited
      ? [option('--actor <name>', 'who does it, for the audit (AUDIT_ACTOR)', actorName)]
      : []),
    ...(hasOutput ? outputOptions(names !== undefined) : []),
  ];
  return (parent, cli, done) => {
    const defined = parent.command(spec.name).description(spec.about);
    for (const argument of spec.args ?? []) defined.addArgument(argument);
    for (const option of options) defined.addOption(option);
    const help = [
      examples(...spec.examples),
      ...(notes === undefined ? [] : [notes]),
      ...(exits === undefined ? [] : [exitCodes(exits)]),
    ];
    defined.addHelpText('after', help.join('\n\n')).action(async (...given: unknown[]) => {
      const chosen = defined.optsWithGlobals<O & SharedOptions>();
      const args = given.slice(0, -2) as unknown as A;
      const asWho = spec.isAudited ? underName(cli, chosen.actor) : cli;
      const hurts = chosen.yes ? null : await spec.confirms?.(asWho, chosen, ...args);
      if (hurts != null) await confirm(cli, hurts);
      const answer = await spec.run(asWho, chosen, ...args);
      if (typeof answer === 'number') {
        done(answer);
        return;
      }
      await print(cli, answer, chosen, names);
      done(answer.code ?? EXIT.ok);
    });
    if (subcommands.length > 0) refuseOptionsOfParent(defined);
    for (const define of subcommands) define(defined, cli, done);
  };
}

interface SharedOptions extends OutputOptions {
  readonly yes?: true;
  readonly actor?: string;
}

/** `--actor` stands in for the setting AUDIT_ACTOR. */
function underName(cli: Cli, actor: string | undefined): Cli {
  return actor === undefined ? cli : { ...cli, env: { ...cli.env, AUDIT_ACTOR: actor } };
}

/** Commands under one word. */
export function commands(name: string, about: string, subcommands: readonly Define[]): Define {
  return (parent, cli, done) => {
    const group = parent.command(name).description(about);
    for (const define of subcommands) define(group, cli, done);
  };
}

export function option(flags: string, about: string): Option;
export function option<T>(
  flags: string,
  about: string,
  parse: (text: string, before: T | undefined) => T,
  byDefault?: T,
): Option;
export function option<T>(
  flags: string,
  about: string,
  parse?: (text: string, before: T | undefined) => T,
  byDefault?: T,
): Option {
  const made = new Option(flags, about).default(byDefault);
  return parse === undefined ? made : made.argParser(parse);
}

function exitCodes([done, failed, deadLetters]: readonly [string, string, string?]): string {
  const third = deadLetters === undefined ? '' : `; 3 ${deadLetters}`;
  return `Exit codes: 0 ${done}; 1 ${failed}; 2 wrong use or configuration${third}.`;
}

/** The examples below a command's help. */
export function examples(...lines: readonly string[]): string {
  return ['', 'Examples:', ...lines.map((line) => `  $ connection-secrets ${line}`)].join('\n');
}

/**
 * Refuses options of a command that its called subcommand does not have. commander accepts them at any place and would
 * ignore them: `migrate-secrets rollback --dry-run` would roll back.
 */
function refuseOptionsOfParent(parent: Command): void {
  parent.hook('preAction', (_parent, called) => {
    const known = new Set(called.options.map((one) => one.attributeName()));
    const stray = parent.options.find(
      (one) => parent.getOptionValueSource(one.attributeName()) === 'cli' && !known.has(one.attributeName()),
    );
    if (stray?.long != null)
      throw new ConfigurationError('USAGE_INVALID', `${stray.long} does not go with \`${called.name()}\``);
  });
}
