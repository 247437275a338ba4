// What the API and the workers share: the Redis, and the queue in it.
import { Redis } from 'ioredis';

export const QUEUE = 'jobs';

// No job takes longer; stop-timeout in compose.yaml is longer still.
export const LONGEST = 60;

export function connect() {
  // BullMQ wants to decide by itself when to give up on a command.
  const redis = new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null });
  redis.on('error', (error) => console.error(`redis: ${error.message}`));
  return redis;
}

// How often a job was started and done, so that none lost or done twice goes unnoticed.
export const runsKey = (id) => `runs:${id}`;
