"""Sends tasks, waits for their results, and says which worker did how many.

    docker compose run --rm dispatch --task-a 15 --task-b 15
"""

import argparse
import sys
import time
from collections import Counter

from celery.exceptions import TimeoutError
from celery.result import ResultSet

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
    return parser.parse_args()


def send(args):
    return {
        "task_a": [task_a.delay() for _ in range(args.task_a)],
        "task_b": [task_b.delay() for _ in range(args.task_b)],
        "nap": [nap.delay(args.seconds) for _ in range(args.nap)],
        "shaky": [shaky.delay(args.failures) for _ in range(args.shaky)],
    }


def report(name, results):
    """Prints what became of the tasks of one kind; whether each was done exactly once."""
    done = [result for result in results if result.successful()]
    runs = [app.backend.client.hgetall(f"runs:{result.id}") for result in results]
    twice = sum(int(run.get(b"done", 0)) > 1 for run in runs)
    retries = sum(max(int(run.get(b"started", 0)) - 1, 0) for run in runs)
    print(f"{name}: {len(results)} sent, {len(done)} done, {twice} done twice, {retries} retries")
    for worker, count in sorted(Counter(result.result for result in done).items()):
        print(f"  {count:4} by {worker}")
    return len(done) == len(results) and not twice


def main():
    args = arguments()
    began = time.monotonic()
    sent = {name: results for name, results in send(args).items() if results}
    if args.no_wait:
        for name, results in sent.items():
            for result in results:
                print(name, result.id)
        return 0
    try:
        # join_native subscribes to the results instead of asking again and again.
        ResultSet([result for results in sent.values() for result in results]).join_native(
            timeout=args.timeout, propagate=False
        )
    except TimeoutError:
        print(f"not all results came within {args.timeout:g} s", file=sys.stderr)
    print(f"{time.monotonic() - began:.1f} s")
    good = [report(name, results) for name, results in sent.items()]
    return 0 if all(good) else 1


if __name__ == "__main__":
    status = main()
    app.close()
    sys.exit(status)
