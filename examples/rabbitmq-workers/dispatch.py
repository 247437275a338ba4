"""Sends tasks, waits for their results, and says which worker did how many.

    docker compose run --rm dispatch --task-a 15 --task-b 15
"""

import argparse
import sys
import time
from collections import Counter

from celery.exceptions import TimeoutError

from tasks import app, nap, shaky, task_a, task_b


def arguments():
    parser = argparse.ArgumentParser(prog="dispatch", description=__doc__.split("\n")[0])
    parser.add_argument("--task-a", type=int, default=0, metavar="N", help="tasks of 0.1 s for worker-a")
    parser.add_argument("--task-b", type=int, default=0, metavar="N", help="tasks of 0.2 s for worker-b")
    parser.add_argument("--nap", type=int, default=0, metavar="N", help="long tasks for worker-a")
    parser.add_argument("--seconds", type=float, default=15, help="how long (15)")
    parser.add_argument("--shaky", type=int, default=0, metavar="N", help="tasks for worker-a that fail at first")
    parser.add_argument("--failures", type=int, default=2, help="how often (2)")
    parser.add_argument("--timeout", type=float, default=120, help="wait so many seconds for results (120)")
    parser.add_argument("--no-wait", action="store_true", help="print the ids of the tasks instead, and end")
    args = parser.parse_args()
    if not args.task_a + args.task_b + args.nap + args.shaky:
        parser.error("say what to send: --task-a 15 --task-b 15")
    return args


def send(args):
    """The ids of the tasks of each kind."""
    return {
        "task_a": [task_a.delay().id for _ in range(args.task_a)],
        "task_b": [task_b.delay().id for _ in range(args.task_b)],
        "nap": [nap.delay(args.seconds).id for _ in range(args.nap)],
        "shaky": [shaky.delay(args.failures).id for _ in range(args.shaky)],
    }


def wait(ids, timeout):
    """The results of the tasks that ended in time."""
    results = {}
    try:
        # Asks for all that are missing at once.
        for id, result in app.backend.get_many(ids, timeout=timeout, interval=0.1):
            results[id] = result
    except TimeoutError:
        print(f"not all results came within {timeout:g} s", file=sys.stderr)
    return results


def report(name, ids, results):
    """Prints what became of the tasks of one kind; whether each was done exactly once."""
    done = [results[id] for id in ids if id in results and results[id]["status"] == "SUCCESS"]
    runs = [app.backend.client.hgetall(f"runs:{id}") for id in ids]
    twice = sum(int(run.get(b"done", 0)) > 1 for run in runs)
    retries = sum(max(int(run.get(b"started", 0)) - 1, 0) for run in runs)
    print(f"{name}: {len(ids)} sent, {len(done)} done, {twice} done twice, {retries} retries")
    for worker, count in sorted(Counter(result["result"] for result in done).items()):
        print(f"  {count:4} by {worker}")
    return len(done) == len(ids) and not twice


def main():
    args = arguments()
    began = time.monotonic()
    sent = {name: ids for name, ids in send(args).items() if ids}
    if args.no_wait:
        for name, ids in sent.items():
            for id in ids:
                print(name, id)
        return 0
    results = wait([id for ids in sent.values() for id in ids], args.timeout)
    print(f"{time.monotonic() - began:.1f} s")
    good = [report(name, ids, results) for name, ids in sent.items()]
    return 0 if all(good) else 1


if __name__ == "__main__":
    status = main()
    app.close()
    sys.exit(status)
