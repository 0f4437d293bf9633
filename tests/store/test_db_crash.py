"""A control plane that is killed at any moment loses nothing it had acknowledged."""

import subprocess
import sys
import textwrap

from gondwana.db.database import Database
from gondwana.ledger.accounts import tenant_available
from gondwana.ledger.audit import audit
from gondwana.ledger.store import balance

KILLS = 4

# Sixteen calls in flight; an id is printed when its result came, that is after COMMIT.
SCRIPT = """
    import itertools, sys, collections
    from pathlib import Path
    from gondwana.db.database import Database
    from gondwana.ledger.rules import deposit
    from gondwana.ledger.store import post
    database = Database.open(Path(sys.argv[1]))
    flying = collections.deque()
    for number in itertools.count():
        key = f"{sys.argv[2]}-{number}"
        flying.append((key, database.writer.submit(post, deposit("bank", "t", 1, key=key), 1.0)))
        if len(flying) > 16:
            key, future = flying.popleft()
            future.result()
            print(key, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path):
    path, acknowledged = tmp_path / "a.db", []
    for round_number in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SCRIPT), str(path), str(round_number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        acknowledged += [process.stdout.readline().strip() for _ in range(50 + 37 * round_number)]
        process.kill()
        acknowledged += process.stdout.read().split()  # what it still said before it died
        process.stdout.close()
        process.wait()
    with Database.open(path) as database:
        reader = database.reader()
        rows = reader.all("SELECT event_id FROM ledger_entry")
        kept = {row["event_id"].removeprefix("deposit:t:") for row in rows}
        assert len(acknowledged) > 50 * KILLS
        assert set(acknowledged) <= kept
        assert balance(reader, tenant_available("t")).available_micro_usd == len(kept)
        assert audit(reader).ok
