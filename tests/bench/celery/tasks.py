"""What the benchmark `celery` sends: nothing to do, and something that never ends."""

import os
import time

from celery import Celery

app = Celery("tasks", broker=os.environ["BROKER_URL"], backend=os.environ.get("RESULT_URL"))
app.conf.update(worker_prefetch_multiplier=4, broker_connection_retry_on_startup=True)


@app.task
def nothing():
    pass


@app.task
def stand_still():
    time.sleep(3600)
