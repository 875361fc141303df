import type { Command } from 'commander';
import { loadConfig } from '../config.js';
import { createLogger } from '../observability/logger.js';
import { programVersion } from '../version.js';
import { EXIT, type Cli, type Done } from './cli.js';
import { stopSignals } from './signals.js';
import { examples } from './text.js';

/** What a stop may take besides its grace: leaving the group, closing connections. */
const CLOSE_MS = 10_000;

export function defineStart(program: Command, cli: Cli, done: Done): void {
  program
    .command('start')
    .description('run the worker: source topics in, secrets to the store, connection.secured out')
    .option('--allow-group-change', 'take the database over from another consumer group')
    .addHelpText('after', examples('start', 'start --allow-group-change'))
    .action(async ({ allowGroupChange = false }: { allowGroupChange?: boolean }) => {
      const config = loadConfig(cli.env);
      const logger = createLogger({ level: config.log.level, to: 'stdout' });
      const version = programVersion();
      for (const warning of config.warnings) logger.warn({ warning }, 'configuration');
      const stop = stopSignals(config.worker.shutdownGraceMs + CLOSE_MS);
      stop.signal.addEventListener('abort', () => logger.info('told to stop'));
      logger.info(
        { version, manager: config.secretsManager.name, database: config.database.address.type },
        'starting',
      );
      try {
        const { runService } = await import('../service/service.js');
        await runService({ config, logger, version, allowGroupChange, stop: stop.signal });
      } catch (error) {
        logger.fatal({ error }, 'ended');
        throw error;
      } finally {
        stop.release();
      }
      done(EXIT.ok);
    });
}
