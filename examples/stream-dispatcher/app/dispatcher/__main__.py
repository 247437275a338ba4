"""Takes tasks from the queue, prepares what they need, and hands them to the Celery workers.

On SIGTERM it takes no more, finishes what it has in hand, signs off from the queue and ends.
"""

import json
import logging
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from celery import Celery

from queue_source import open_queue

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
log = logging.getLogger("dispatcher")

# The container's id, unless `hostname` is set.
NAME = socket.gethostname()
ALIVE = Path("/tmp/alive")


def open_own_queue():
    options = {}
    if os.environ["QUEUE_SOURCE"] == "redis-stream":
        options = {
            "group": os.environ["QUEUE_CONSUMER_GROUP"],
            "consumer": NAME,
            "claim_after": float(os.environ["CLAIM_AFTER"]),
        }
    return open_queue(os.environ["QUEUE_SOURCE"], os.environ["QUEUE_URL"], **options)


class Dispatcher:
    def __init__(self):
        self.queue = open_own_queue()
        self.workers = Celery(broker=os.environ["CELERY_BROKER_URL"])
        # Pulls are what a dispatcher is slow at, and too many at once make each one slower.
        self.pulls = threading.Semaphore(int(os.environ["MAX_CONCURRENT_PULLS"]))
        self.consumers = int(os.environ["NUM_CONSUMERS"])
        self.stopping = threading.Event()

    def run(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        self.queue.join()
        log.info("%s takes tasks with %d consumers", NAME, self.consumers)
        with ThreadPoolExecutor(self.consumers) as pool:
            consumers = [pool.submit(self.consume) for _ in range(self.consumers)]
            while not self.stopping.is_set() and not any(one.done() for one in consumers):
                ALIVE.touch()
                self.stopping.wait(1)
            # One that ended by itself has failed, and ends the whole: the others finish what they have in hand, and
            # what the failed one had is put back or taken over after the restart.
            self.stopping.set()
            log.info("%s takes no more tasks", NAME)
        for one in consumers:
            one.result()
        self.queue.leave()
        log.info("%s has finished what it had", NAME)

    def consume(self):
        while not self.stopping.is_set():
            taken = self.queue.take()
            if taken:
                task, receipt = taken
                self.dispatch(json.loads(task))
                self.queue.done(receipt)

    def dispatch(self, task):
        with self.pulls:
            # Stands for what a dispatcher does in real life: pull an image, prepare a sandbox.
            time.sleep(task["pull_seconds"])
        self.workers.send_task("tasks.run", args=[task["id"], NAME], queue="dispatch", ignore_result=True)


if __name__ == "__main__":
    Dispatcher().run()
