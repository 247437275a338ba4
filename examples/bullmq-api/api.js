// The API. It puts jobs into the queue and looks them up, and keeps nothing itself: every replica can
// answer every request.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { hostname } from 'node:os';

import { Queue } from 'bullmq';

import { LONGEST, QUEUE, connect, runsKey } from './queue.js';
import { openRecords } from './records.js';

const redis = connect();
const records = await openRecords();
const queue = new Queue(QUEUE, {
  connection: redis,
  defaultJobOptions: {
    // Again after about 0.5, 1, 2 and 4 seconds. The jitter keeps jobs that failed together from coming
    // back together.
    attempts: 5,
    backoff: { type: 'exponential', delay: 500, jitter: 0.5 },
    removeOnComplete: { age: 3600, count: 10_000 },
    removeOnFail: { age: 24 * 3600 },
  },
});

class BadRequest extends Error {}

async function body(request) {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 10_000) throw new BadRequest('the body is too long');
  }
  try {
    return JSON.parse(text || '{}');
  } catch {
    throw new BadRequest('the body is not JSON');
  }
}

function within(name, value, most) {
  if (typeof value !== 'number' || !(value >= 0 && value <= most)) {
    throw new BadRequest(`${name}: a number from 0 to ${most} is wanted`);
  }
  return value;
}

async function enqueue(request) {
  const { seconds = 0, fail = 0 } = (await body(request)) ?? {};
  const data = { seconds: within('seconds', seconds, LONGEST), fail: within('fail', fail, 10) };
  const id = randomUUID();
  await records.created(id, data);
  await queue.add('nap', data, { jobId: id });
  return [202, { id }];
}

async function show(id) {
  // The state first: what is read after it is at least as new.
  const state = await queue.getJobState(id);
  const job = await queue.getJob(id);
  if (!job) return [404, { error: 'no such job' }];
  const runs = await redis.hgetall(runsKey(id));
  const answer = {
    id,
    state,
    attempts: job.attemptsMade,
    started: Number(runs.started ?? 0),
    done: Number(runs.done ?? 0),
    worker: job.processedBy,
    failedReason: job.failedReason,
  };
  const record = await records.find(id);
  return [200, record ? { ...answer, record } : answer];
}

async function answer(request) {
  const path = new URL(request.url, 'http://localhost').pathname;
  const [, job] = path.match(/^\/jobs\/([\w-]+)$/) ?? [];
  if (request.method === 'POST' && path === '/jobs') return enqueue(request);
  if (request.method === 'GET' && job) return show(job);
  if (request.method === 'GET' && path === '/counts') {
    return [200, await queue.getJobCounts('waiting', 'active', 'delayed', 'completed', 'failed')];
  }
  if (request.method === 'GET' && path === '/health') {
    return redis.status === 'ready' ? [200, { ok: true }] : [503, { error: `redis: ${redis.status}` }];
  }
  return [404, { error: 'not found' }];
}

const server = createServer(async (request, response) => {
  let status, content;
  try {
    [status, content] = await answer(request);
  } catch (error) {
    if (!(error instanceof BadRequest)) console.error(error);
    [status, content] = error instanceof BadRequest ? [400, { error: error.message }] : [500, { error: 'failed' }];
  }
  response.writeHead(status, { 'Content-Type': 'application/json', 'X-Replica': hostname() });
  response.end(`${JSON.stringify(content)}\n`);
});

server.listen(3000, () => console.log('listening on 3000'));

// Requests that are under way are answered before the end.
process.once('SIGTERM', () => {
  server.close(async () => {
    await queue.close();
    await records.close();
    redis.disconnect();
  });
});
