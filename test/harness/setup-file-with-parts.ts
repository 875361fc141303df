import './setup-file.js';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { inject } from 'vitest';
import { setPartStates } from './describe-with.js';
import type { PartStates } from './names.js';

// The first test file of a run that connects has the parts started. All files wait until they are up.
setPartStates(JSON.parse(await text(connect(inject('partsPort'), '127.0.0.1'))) as PartStates);
