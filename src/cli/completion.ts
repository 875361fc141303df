import { Argument, type Command } from 'commander';
import { EXIT, PROGRAM } from './cli.js';
import { command, type Define } from './define-command.js';

interface Words {
  /** Names of the commands above, from the program down: `connections list`; empty: the program itself. */
  readonly path: string;
  readonly commands: readonly string[];
  readonly options: readonly string[];
}

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** Prints what a shell needs to complete commands and options, made from the commands themselves. */
export const completion: Define = (program, cli, done) => {
  command<object, [Shell]>({
    name: 'completion',
    about: 'print a script with which a shell completes commands and options',
    args: [new Argument('<shell>', 'which shell').choices(SHELLS)],
    hasOutput: false,
    examples: ['completion bash > /etc/bash_completion.d/connection-secrets', 'completion fish | source'],
    run: (_, __, shell) => {
      cli.stdout.write(`${shell === 'fish' ? fishScript(program) : bashScript(program, shell)}\n`);
      return Promise.resolve(EXIT.ok);
    },
  })(program, cli, done);
};

/** The deepest commands first: a shell takes the first pattern that matches. */
function wordsOf(owner: Command, path = ''): Words[] {
  const below = owner.commands.flatMap((one) => wordsOf(one, `${path} ${one.name()}`.trim()));
  const commands = owner.commands.map((one) => one.name());
  const options = [...owner.options.flatMap(({ long }) => (long == null ? [] : [long])), '--help'];
  return [...below, { path, commands, options }];
}

function bashScript(program: Command, shell: 'bash' | 'zsh'): string {
  const cases = wordsOf(program).map(({ path, commands, options }) => {
    const pattern = path === '' ? '*' : `"${path}"|"${path} "*`;
    return `    ${pattern}) words="${[...commands, ...options].join(' ')}" ;;`;
  });
  return [
    ...(shell === 'zsh' ? ['autoload -U +X bashcompinit && bashcompinit'] : []),
    '_connection_secrets() {',
    '  local path="" word words=""',
    '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
    '    [[ $word == -* ]] || path="${path:+$path }$word"',
    '  done',
    '  case "$path" in',
    ...cases,
    '  esac',
    '  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))',
    '}',
    `complete -o default -F _connection_secrets ${PROGRAM}`,
  ].join('\n');
}

function fishScript(program: Command): string {
  return wordsOf(program)
    .flatMap(({ path, commands, options }) => {
      const seen = path.split(' ').map((word) => `__fish_seen_subcommand_from ${word}`);
      const condition = path === '' ? '__fish_use_subcommand' : seen.join('; and ');
      const line = `complete -c ${PROGRAM} -n '${condition}'`;
      return [
        ...(commands.length === 0 ? [] : [`${line} -f -a '${commands.join(' ')}'`]),
        ...options.map((option) => `${line} -l ${option.slice('--'.length)}`),
      ];
    })
    .join('\n');
}
