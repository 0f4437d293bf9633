"""Starts clients that post traffic, by forking: a round of the kill test pays no imports.

A line of JSON on standard input starts a client; on standard output come its pid, the ids it answers, and, when it is
dead and buried, `ended <exit code>`, which is negative for a signal.
"""

import json
import os
import sys
import traceback
from pathlib import Path

from traffic import post_traffic, traffic

from gondwana.db.database import Database


def target_of(text: str) -> str | Path:
    """What `Database.open` takes: the URL of a server's database, or a file."""
    return text if "://" in text else Path(text)


def say(line: str) -> None:
    """Write a line in one piece: a kill leaves no half of it."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def client(job: dict) -> None:
    """Post for ever, or until the database is gone; `too_early` answers what was not yet sent."""
    steps = traffic(job["seed"])
    if job.get("too_early"):
        steps = (say(step.entry.event_id) or step for step in steps)
    with Database.open(target_of(job["target"])) as database:
        answer = (lambda _: None) if job.get("too_early") else say
        post_traffic(database, steps, in_flight=job["in_flight"], answer=answer)


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            say(str(os.getpid()))
            try:
                client(json.loads(line))
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        _, status = os.waitpid(pid, 0)
        say(f"ended {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
