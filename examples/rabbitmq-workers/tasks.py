"""The tasks, and how they are retried. Which worker serves which queue is said in compose.yaml."""

import os
import time
from pathlib import Path

from celery import Celery, Task
from celery.signals import heartbeat_sent, worker_ready

app = Celery("tasks", broker=os.environ["BROKER_URL"], backend=os.environ["RESULT_URL"])
app.conf.update(
    task_routes={
        "tasks.task_a": "queue_a",
        "tasks.task_b": "queue_b",
        "tasks.nap": "queue_a",
        "tasks.shaky": "queue_a",
    },
    # A worker takes one message ahead, not four for each process: a replica that has just been added
    # finds work in the queue, and one that goes holds little back.
    worker_prefetch_multiplier=1,
    # No task runs longer; stop-timeout in compose.yaml is longer still.
    task_time_limit=60,
    result_expires=3600,
    broker_connection_retry_on_startup=True,
)


class Counted(Task):
    """A task that is retried, and that counts its runs, so that none lost or done twice goes unnoticed."""

    # After about 1, 2, 4, 8 and 16 seconds. The jitter keeps tasks that failed together from coming
    # back together.
    autoretry_for = (ConnectionError,)
    max_retries = 5
    retry_backoff = True
    retry_backoff_max = 60
    retry_jitter = True

    def retry(self, *args, countdown=None, **kwargs):
        # The jitter may say 0. Then the next run, at another worker, can write its result before this one has
        # written that there is to be a next run, and whoever waits for the result waits for ever.
        return super().retry(*args, countdown=max(countdown or 0, 1), **kwargs)

    def before_start(self, task_id, args, kwargs):
        self.count(task_id, "started")

    def on_success(self, retval, task_id, args, kwargs):
        self.count(task_id, "done")

    def count(self, task_id, what):
        # In the Redis that keeps the results.
        key = f"runs:{task_id}"
        with self.backend.client.pipeline() as pipe:
            pipe.hincrby(key, what, 1).expire(key, app.conf.result_expires).execute()


@app.task(base=Counted, bind=True)
def task_a(self):
    time.sleep(0.1)
    return self.request.hostname


@app.task(base=Counted, bind=True)
def task_b(self):
    time.sleep(0.2)
    return self.request.hostname


@app.task(base=Counted, bind=True)
def nap(self, seconds):
    """A long task: what happens to it when its worker is scaled away?"""
    time.sleep(seconds)
    return self.request.hostname


@app.task(base=Counted, bind=True)
def shaky(self, failures):
    """Fails so many times before it succeeds, as a call to a service that is down for a while."""
    if self.request.retries < failures:
        raise ConnectionError(f"failure {self.request.retries + 1} of {failures}")
    return self.request.hostname


# `celery inspect ping` starts a whole interpreter for each healthcheck. Instead a worker that is ready
# touches this file with every heartbeat (2 seconds), and stops when it loses the broker or hangs.
ALIVE = Path("/tmp/alive")


@worker_ready.connect
def on_ready(**_):
    ALIVE.touch()


@heartbeat_sent.connect
def on_heartbeat(**_):
    if ALIVE.exists():
        ALIVE.touch()
