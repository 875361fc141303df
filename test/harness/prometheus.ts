import { join } from 'node:path';
import { debianPackage } from './debian-package.js';
import { findExecutable } from './run-command.js';

/** The programs of Prometheus: the server and `promtool`. */
export interface PrometheusTools {
  readonly prometheus: string;
  readonly promtool: string;
}

/** From PATH, else from Debian's package. About 5 s. */
export async function prometheusTools(): Promise<PrometheusTools> {
  const [prometheus, promtool] = ['prometheus', 'promtool'].map((program) => findExecutable(program));
  if (prometheus !== undefined && promtool !== undefined) return { prometheus, promtool };
  const bin = join(await debianPackage('prometheus'), 'usr', 'bin');
  return { prometheus: join(bin, 'prometheus'), promtool: join(bin, 'promtool') };
}
