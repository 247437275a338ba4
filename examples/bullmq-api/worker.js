// A worker. It takes jobs from the queue, several at a time.
import { utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

import { Worker } from 'bullmq';

import { QUEUE, connect, runsKey } from './queue.js';
import { openRecords } from './records.js';

const redis = connect();
const records = await openRecords();

async function count(job, what) {
  const key = runsKey(job.id);
  await redis.multi().hincrby(key, what, 1).expire(key, 24 * 3600).exec();
}

// Naps for some seconds, instead of work, and fails as often as asked to before that.
async function nap(job) {
  await count(job, 'started');
  if (job.attemptsMade < job.data.fail) {
    throw new Error(`failure ${job.attemptsMade + 1} of ${job.data.fail}`);
  }
  await sleep(job.data.seconds * 1000);
  await count(job, 'done');
}

const worker = new Worker(QUEUE, nap, {
  connection: redis,
  name: hostname(),
  concurrency: Number(process.env.BULLMQ_CONCURRENCY),
  // A worker that was killed no longer renews the locks of its jobs. Its jobs count as stalled after
  // 10 to 20 seconds, and another worker starts them once more, from the beginning.
  lockDuration: 10_000,
  stalledInterval: 10_000,
  maxStalledCount: 1,
});

// A job that is done is not run again because its record could not be written.
let recorded = Promise.resolve();
function record(id, outcome) {
  const written = records.finished(id, outcome).catch((error) => console.error(`${id}: ${error.message}`));
  recorded = Promise.all([recorded, written]);
}

worker.on('completed', (job) => {
  console.log(`${job.id} completed`);
  record(job.id, { state: 'completed', worker: hostname() });
});
worker.on('failed', (job, error) => {
  console.log(`${job?.id} failed: ${error.message}`);
  if (job?.finishedOn) record(job.id, { state: 'failed', reason: error.message });
});
worker.on('stalled', (id) => console.log(`${id} stalled: its worker is gone`));
worker.on('error', (error) => console.error(error.message));

// The healthcheck in compose.yaml wants this file to be young. It grows old when Redis is away, or when
// something keeps this process from its timers.
const ALIVE = '/tmp/alive';
await worker.waitUntilReady();
writeFileSync(ALIVE, '');
const alive = setInterval(() => {
  if (redis.status === 'ready') utimesSync(ALIVE, new Date(), new Date());
}, 2000);
console.log('waiting for jobs');

// No new jobs; the ones that are under way are ended first. How long that may take is said by
// stop-timeout in compose.yaml.
process.once('SIGTERM', async () => {
  console.log('ending');
  await worker.close();
  clearInterval(alive);
  await recorded;
  await records.close();
  redis.disconnect();
});
