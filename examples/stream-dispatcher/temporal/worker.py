"""A Temporal worker: its workflow gives the controller a task and waits until it is done.

Workers have no state. Any number of them poll one task queue, and what one had begun goes on in another.
"""

import asyncio
import json
import os
import signal
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

TASK_QUEUE = "controller-tasks"
EVERY_SECOND = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=1)


def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(os.environ["CONTROLLER_URL"] + path, data, timeout=30) as answer:
        return json.load(answer)


@activity.defn
def create_task(text: str) -> int:
    return ask("/tasks", {"text": text})["ids"][0]


@activity.defn
def finished_digest(task_id: int) -> str:
    task = ask(f"/tasks/{task_id}")
    if not task["finished"]:
        raise ApplicationError(f"task {task_id} is not done yet")  # Temporal asks again
    return task["digest"]


@workflow.defn
class RunTask:
    @workflow.run
    async def run(self, text: str) -> str:
        patience = timedelta(minutes=1)
        task_id = await workflow.execute_activity(create_task, text, start_to_close_timeout=patience)
        return await workflow.execute_activity(
            finished_digest, task_id, start_to_close_timeout=patience, retry_policy=EVERY_SECOND
        )


def make_worker(client, executor):
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[RunTask],
        activities=[create_task, finished_digest],
        activity_executor=executor,
        # Below stop_grace_period in compose.yaml.
        graceful_shutdown_timeout=timedelta(seconds=60),
    )


async def main():
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    with ThreadPoolExecutor(10) as executor:
        async with make_worker(client, executor):  # at its end the worker finishes what it has
            await stopping.wait()


if __name__ == "__main__":
    asyncio.run(main())
