/**
 * Loaded into a built worker by `--import`: the process stops itself (SIGSTOP) the first time it comes to the step that
 * STOP_AT names, in an event's own work. Nothing of the program is replaced: methods of its classes are wrapped.
 */
const at = process.env.STOP_AT ?? '';
let isDone = false;

function reach(step) {
  if (isDone || step !== at) return;
  isDone = true;
  process.kill(process.pid, 'SIGSTOP');
}

const base = new URL('../../../dist/src/', import.meta.url);
const { DatabaseLedger } = await import(new URL('database/ledger.js', base).href);
const { Requester } = await import(new URL('secrets-managers/requester.js', base).href);
const { PartitionRun } = await import(new URL('../consumers/partition-run.js', base).href);

const { claim, commit, settle } = DatabaseLedger.prototype;
DatabaseLedger.prototype.claim = function (requests) {
  const isEvent = requests.some(({ eventHash }) => eventHash !== null);
  if (isEvent) reach('before the claim');
  const watched = requests.map((request) => ({
    ...request,
    decide: (state) => {
      const decision = request.decide(state);
      if (request.eventHash !== null) reach('in the transaction of the claim');
      return decision;
    },
  }));
  return claim.call(this, watched);
};
DatabaseLedger.prototype.commit = async function (requests) {
  reach('after the write, before the commit');
  const results = await commit.call(this, requests);
  reach('after the commit, before the publish');
  return results;
};
DatabaseLedger.prototype.settle = function (requests) {
  if (requests.some(({ isPublished }) => isPublished)) reach('after the publish, before it is marked');
  return settle.call(this, requests);
};

const { write } = Requester.prototype;
Requester.prototype.write = function (name, call, send, ...rest) {
  const watched = (options) => {
    const answer = send(options);
    // Bytes go out in a later turn; the stand-in answers late enough.
    if (at === 'during the write') setTimeout(() => reach(at), 300);
    return answer;
  };
  return write.call(this, name, call, watched, ...rest);
};

const commitOffset = PartitionRun.prototype.commit;
PartitionRun.prototype.commit = function () {
  if (this.position > this.startOffset) reach('before the offset is committed');
  return commitOffset.call(this);
};
