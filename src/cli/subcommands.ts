import type { Command } from 'commander';
import { ConfigurationError } from '../errors.js';

/**
 * Of a command that does something itself and has subcommands: refuses those of its options that the subcommand does not
 * have. commander takes them wherever they stand and gives them to nobody, and `rollback --dry-run` must not roll back.
 */
export function refuseOptionsOfParent(parent: Command): void {
  parent.hook('preAction', (_parent, called) => {
    const known = new Set(called.options.map((option) => option.attributeName()));
    const stray = parent.options.find(
      (option) =>
        parent.getOptionValueSource(option.attributeName()) === 'cli' && !known.has(option.attributeName()),
    );
    if (stray?.long != null)
      throw new ConfigurationError('USAGE_INVALID', `${stray.long} does not go with \`${called.name()}\``);
  });
}
