#!/usr/bin/env node
import { installCrashHandlers } from '../observability/crash.js';
import { runProgram } from './program.js';

installCrashHandlers();
const { env, stdin, stdout, stderr } = process;
const code = await runProgram(process.argv.slice(2), { env, stdin, stdout, stderr });
// What is written to a pipe is on its way before the process ends; a reader that is gone is no reason to wait.
await Promise.all(
  [stdout, stderr].map((stream) => new Promise<void>((resolve) => stream.write('', () => resolve()))),
);
process.exit(code);
