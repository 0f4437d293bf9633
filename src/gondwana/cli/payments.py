"""What the commands about money in and out share: amounts, files, tables."""

from pathlib import Path
from typing import Final

from gondwana.cli.output import columns, facts, moment, table
from gondwana.core.errors import InvalidValue
from gondwana.core.money import format_usd, parse_usd
from gondwana.wire.treasury import DepositView, ImportView, PayoutView, TreasuryView

FILE_BYTES_MAX: Final = 2 * 1024 * 1024  # the control plane takes a quarter of it
EXIT_REFUSED: Final = 1
PAYOUT_HEADS: Final = columns("ID", "WHOSE", ">AMOUNT", "RAIL", "TO", "STATE", "REQUESTED", "WHY")
DEPOSIT_HEADS: Final = columns("ID", "WHOSE", ">AMOUNT", "RAIL", "STATE", "WHEN", "REFERENCE")
LINE_HEADS: Final = columns(">LINE", "OUTCOME", "WHAT", "WHY")


def dollars(micro_usd: int) -> str:
    """An amount to the micro-unit."""
    return format_usd(micro_usd, decimals=6)


def some_usd(text: str, *, field: str = "AMOUNT") -> int:
    """The dollars that a person typed, in micro-USD; raises InvalidValue, naming `field`, unless more than zero."""
    micro_usd = parse_usd(text, field=field)
    if not micro_usd:
        raise InvalidValue(field=field, value=text, hint="give more than 0, e.g. 1.25")
    return micro_usd


def amount_or_all(text: str) -> int | None:
    """Micro-USD, or None for `all`."""
    return None if text == "all" else some_usd(text)


def read_text(path: Path) -> str:
    """A file that a bank gave; raises InvalidValue for one that is too large or no text."""
    with path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise InvalidValue(f"{path} has more than {FILE_BYTES_MAX:,} bytes.", hint="split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidValue(
            f"{path}, line {line}: this is not UTF-8.", hint="save it as CSV in UTF-8"
        ) from None


def payout_row(view: PayoutView) -> list[str]:
    """A payout in a table."""
    return [
        view.id,
        view.principal,
        dollars(view.amount_micro_usd),
        view.rail,
        view.destination,
        view.state,
        moment(view.requested_at),
        view.reason,
    ]


def show_payout(view: PayoutView) -> str:
    """One payout as text."""
    return facts(
        [
            ("payout", view.id),
            ("whose", view.principal),
            ("amount", dollars(view.amount_micro_usd)),
            ("from", view.account.rsplit(":", 1)[-1]),
            ("to", f"{view.destination} over {view.rail}"),
            ("state", view.state),
            ("reason", view.reason),
            ("reference", view.reference),
            ("batch", view.batch or ""),
            ("requested", moment(view.requested_at)),
            ("sent", moment(view.sent_at)),
            ("ended", moment(view.ended_at)),
        ]
    )


def deposit_row(view: DepositView) -> list[str]:
    """A deposit in a table."""
    return [
        view.id,
        view.principal or "?",
        dollars(view.amount_micro_usd),
        view.rail,
        view.state,
        moment(view.made_at),
        view.reference,
    ]


def show_deposit(view: DepositView) -> str:
    """One deposit as text."""
    return facts(
        [
            ("deposit", view.id),
            ("whose", view.principal or "nobody knows"),
            ("amount", dollars(view.amount_micro_usd)),
            ("over", view.rail),
            ("state", view.state),
            ("reason", view.reason),
            ("reference", view.reference),
            ("sender", view.sender),
            ("paid on", view.paid_on),
            ("recorded", moment(view.made_at)),
        ]
    )


def show_import(view: ImportView) -> str:
    """What became of a file; lines that were told before are only counted."""
    rows = [
        [str(line.line), line.outcome, line.subject, line.detail]
        for line in view.lines
        if line.outcome != "repeated"
    ]
    counts = f"{view.applied} applied, {view.repeated} read before, {view.refused} refused"
    told = f"{table(LINE_HEADS, rows, empty='nothing new')}\n\n{counts}"
    unclear = any(line.detail == "unclear" for line in view.lines if line.outcome == "applied")
    return f"{told}\nwhose are they? gondwana treasury deposits clear ID NAME" if unclear else told


def show_treasury(view: TreasuryView) -> str:
    """Where all money is."""
    lines: list[tuple[str, int, str]] = []
    for each in view.rails:
        note = _pending(each.pending_out_micro_usd, each.pending_in_micro_usd)
        lines.append((f"held on {each.name}", each.micro_usd, note))
    lines.append(("held in all", view.held_micro_usd, ""))
    lines += [(f"  {each.name}", each.micro_usd, "") for each in view.owed if each.micro_usd]
    lines.append(("owed to others", view.owed_micro_usd, ""))
    whose = "whose is it? gondwana treasury deposits list --state unclear"
    lines += [(each.name, each.micro_usd, whose) for each in view.unclear]
    lines += [(each.name, each.micro_usd, "") for each in view.operator]
    if view.difference_micro_usd:
        lines.append(("DIFFERENCE", view.difference_micro_usd, "the books are broken"))
    width = max(len(dollars(amount)) for _, amount, _ in lines)
    shown = [
        (name, f"{dollars(amount).rjust(width)}  {note}".rstrip()) for name, amount, note in lines
    ]
    return facts(shown)


def _pending(out: int, to_come: int) -> str:
    words = [f"{dollars(out)} on its way out"] if out else []
    return ", ".join([*words, *([f"{dollars(to_come)} expected"] if to_come else [])])
