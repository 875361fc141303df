import './setup-file.js';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { inject } from 'vitest';
import { setPartStates } from './describe-with.js';
import type { PartStates } from './names.js';

// The first file of a run that gets here has the parts started, the others wait with it.
setPartStates(JSON.parse(await text(connect(inject('partsPort'), '127.0.0.1'))) as PartStates);
