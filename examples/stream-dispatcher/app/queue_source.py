"""The queue between the controller, which puts tasks in, and the dispatchers, which take them out.

A task is in the queue until the dispatcher that took it says `done`, so none is lost with a dispatcher. One
that is killed after it passed a task on and before `done` leaves a task that is passed on twice.
"""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

# Seconds that `take` waits for a task, and so the time until a dispatcher notices that it shall stop.
WAIT = 1


def open_queue(source, url, **options):
    """The queue that QUEUE_SOURCE names."""
    queues = {"redis-list": ListQueue, "redis-stream": StreamQueue}
    if source not in queues:
        raise SystemExit(f"QUEUE_SOURCE is `{source}`, and must be one of {', '.join(queues)}")
    # No command is repeated: one whose answer did not come may have been carried out, and a task would be queued
    # twice, or be taken and forgotten. And more patience than the client's 5 seconds, for a disk that keeps Redis busy.
    client = redis.Redis.from_url(
        url, decode_responses=True, socket_timeout=60, retry=Retry(NoBackoff(), 0)
    )
    return queues[source](client, **options)


class ListQueue:
    """A list, and beside it a list of what is in hand. There must be one dispatcher only: see `join`."""

    def __init__(self, client):
        self.client = client
        self.waiting, self.in_hand = "tasks", "tasks:in-hand"

    def put(self, tasks):
        self.client.lpush(self.waiting, *tasks)

    def length(self):
        return self.client.llen(self.waiting) + self.client.llen(self.in_hand)

    def join(self):
        """Puts back what a dispatcher that was killed had in hand, the oldest to the front.

        Nobody can tell whether the one that had it is still at work. It is not if it was the only one.
        """
        while self.client.lmove(self.in_hand, self.waiting, "LEFT", "RIGHT"):
            pass

    def take(self):
        """The next task and its receipt; None if there is none."""
        task = self.client.blmove(self.waiting, self.in_hand, WAIT, "RIGHT", "LEFT")
        return task and (task, task)

    def done(self, receipt):
        self.client.lrem(self.in_hand, 1, receipt)

    def leave(self):
        """There is nothing to sign off from."""


class StreamQueue:
    """A stream with a consumer group, in which each dispatcher is a consumer."""

    def __init__(self, client, group="", consumer="", claim_after=0):
        self.client = client
        self.name = "tasks:stream"
        self.group, self.consumer = group, consumer
        self.claim_after = claim_after
        self.cursor = "0-0"

    def put(self, tasks):
        pipeline = self.client.pipeline()
        for task in tasks:
            pipeline.xadd(self.name, {"task": task})
        pipeline.execute()

    def length(self):
        return self.client.xlen(self.name)

    def join(self):
        try:
            # From the very first entry: tasks may have come before the first dispatcher.
            self.client.xgroup_create(self.name, self.group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # the group is there already
                raise

    def take(self):
        """The next task and its receipt; None if there is none."""
        return self._take_over() or self._take_new()

    def _take_over(self):
        """A task that some dispatcher took long ago, and has not finished: that one is gone."""
        # Goes on where it stopped the last time; a call looks at a few entries only.
        self.cursor, entries, *_ = self.client.xautoclaim(
            self.name, self.group, self.consumer, int(self.claim_after * 1000), self.cursor, count=1
        )
        return self._first(entries)

    def _take_new(self):
        streams = self.client.xreadgroup(
            self.group, self.consumer, {self.name: ">"}, count=1, block=WAIT * 1000
        )
        return self._first(streams[0][1]) if streams else None

    @staticmethod
    def _first(entries):
        for receipt, fields in entries:
            return fields["task"], receipt
        return None

    def done(self, receipt):
        # Both or neither. An entry that is acknowledged would stay in the stream for ever.
        pipeline = self.client.pipeline(transaction=True)
        pipeline.xack(self.name, self.group, receipt)
        pipeline.xdel(self.name, receipt)
        pipeline.execute()

    def leave(self):
        """Takes the consumer out of the group. What it has in hand would be forgotten with it."""
        if not self.client.xpending_range(self.name, self.group, "-", "+", 1, self.consumer):
            self.client.xgroup_delconsumer(self.name, self.group, self.consumer)
