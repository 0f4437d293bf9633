"""Starts clients that post traffic, by forking: a round of the kill test pays no imports.

A line of JSON on standard input starts a client; on standard output come its pid, the ids it answers, and, when it is
dead and buried, `ended <exit code>`, which is negative for a signal.
"""

import contextlib
import json
import logging
import os
import sys
import traceback

from traffic import open_books, post_traffic, traffic

from gondwana.core.errors import Unavailable


def say(line: str) -> None:
    """Write a line in one piece: a kill leaves no half of it."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def client(job: dict) -> None:
    """Post for ever, or until the database is gone; `too_early` answers what was not yet sent."""
    steps = traffic(job["seed"])
    if job.get("too_early"):
        steps = (say(step.entry.event_id) or step for step in steps)
    with open_books(job["target"]) as database:
        answer = (lambda _: None) if job.get("too_early") else say
        post_traffic(database, steps, in_flight=job["in_flight"], answer=answer)


def main() -> None:
    with contextlib.suppress(ModuleNotFoundError):
        import gondwana.db.postgres_open  # noqa: F401  # opening a database would import it in every child
    logging.disable(logging.WARNING)  # a server that was killed is no news here
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            say(str(os.getpid()))
            try:
                client(json.loads(line))
            except Unavailable:
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        _, status = os.waitpid(pid, 0)
        say(f"ended {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
