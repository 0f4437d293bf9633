"""What became of the books after a crash: is all there that was answered, once, and is every balance right?"""

from dataclasses import dataclass, field

from traffic import NOW, Books, Step

from gondwana.core.errors import FundsTooLow
from gondwana.db.database import Database
from gondwana.ledger.audit import audit
from gondwana.ledger.model import Posted
from gondwana.ledger.store import balances, post


@dataclass(slots=True)
class Tally:
    """Counts over many crashes."""

    crashes: int = 0
    acknowledged: int = 0  # answered before the crash
    unacknowledged: int = 0  # committed, but the crash came before the answer
    lost: list[str] = field(default_factory=list)  # answered, and not there
    wrong: list[str] = field(default_factory=list)  # anything else that does not add up

    def __str__(self) -> str:
        return (
            f"{self.crashes} crashes, {self.acknowledged} acknowledged, {self.unacknowledged} committed but "
            f"unacknowledged, {len(self.lost)} lost, {len(self.wrong)} wrong"
        )


def examine(
    database: Database, steps: list[Step], answered: list[str], books: Books, tally: Tally
) -> None:
    """Judge a database that survived a crash, and finish what the client began.

    `steps` is all that the client can have sent, of which the first were answered with the ids `answered`; `books` is
    what was there before. All steps are sent again, twice: in the end each is posted exactly once.
    """
    tally.crashes += 1
    ids = [step.entry.event_id for step in steps]
    assert answered == ids[: len(answered)], "the client answered what it was not to send"
    _add_up(database, tally)
    for number, posted in _send_again(database, steps, tally).items():
        books.add(steps[number].entry)
        if number < len(answered):
            tally.acknowledged += 1
            tally.lost += [] if posted.repeated else [posted.event_id]
        else:
            tally.unacknowledged += posted.repeated
    for posted in _send_again(database, steps, tally).values():
        tally.wrong += [] if posted.repeated else [f"{posted.event_id} was posted twice"]
    found = balances(database.reader(), [*books.balances])
    for account, expected in books.balances.items():
        if found[account] != expected:
            tally.wrong.append(f"{account}: {found[account]}, not {expected}")


def _add_up(database: Database, tally: Tally) -> None:
    tally.wrong += [
        f"{each.subject}: {each.wrong}" for each in audit(database.reader()).differences
    ]


def _send_again(database: Database, steps: list[Step], tally: Tally) -> dict[int, Posted]:
    """What became of each step, by its number; those that are refused, as they should be, are left out."""
    futures = [database.writer.submit(post, step.entry, NOW) for step in steps]
    results: dict[int, Posted] = {}
    for number, (step, future) in enumerate(zip(steps, futures, strict=True)):
        error = future.exception()
        if error is None:
            results[number] = future.result()
        if step.refused != isinstance(error, FundsTooLow) or (error and not step.refused):
            tally.wrong.append(f"{step.entry.event_id}: {error or 'was not refused'}")
    return results
