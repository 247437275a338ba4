"""Celery's own producer: `send N` prints how many tasks a second it sends, `join N` how many seconds it takes
from the first one sent to the last result."""

import sys
import time

from celery.result import ResultSet

from tasks import app, nothing, stand_still


def send(count):
    stand_still.apply_async(queue="still")  # The connection is not what is measured.
    began = time.perf_counter()
    for _ in range(count):
        stand_still.apply_async(queue="still")
    return count / (time.perf_counter() - began)


def join(count):
    nothing.apply_async(queue="quick").get()
    began = time.perf_counter()
    ResultSet([nothing.apply_async(queue="quick") for _ in range(count)]).join()
    return time.perf_counter() - began


if __name__ == "__main__":
    print({"send": send, "join": join}[sys.argv[1]](int(sys.argv[2])))
    app.close()
