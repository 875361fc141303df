#!/usr/bin/env node
import { installCrashHandlers } from '../observability/crash.js';
import { ignoreGoneReaders } from './gone-readers.js';
import { runProgram } from './program.js';

installCrashHandlers();
const { env, stdin, stdout, stderr } = process;
// Standard error is for logs, progress and the one error of `--json`: the SDK's word on Node.js is in docs/operations.md.
env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
ignoreGoneReaders([stdout, stderr]);
const code = await runProgram(process.argv.slice(2), { env, stdin, stdout, stderr });
// What is written to a pipe is on its way before the process ends; a reader that is gone is no reason to wait.
await Promise.all(
  [stdout, stderr].map((stream) => new Promise<void>((resolve) => stream.write('', () => resolve()))),
);
process.exit(code);
