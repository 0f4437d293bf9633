"""`gondwana ledger`"""

import json
from pathlib import Path
from typing import Any

import click

from gondwana.cli.output import columns, csv_line, dollars, facts, iso_utc, moment_utc, table
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.errors import InvalidBytes, InvalidValue
from gondwana.core.money import format_usd
from gondwana.wire.ledger import AuditView, EntryView, LegView
from gondwana.wire.proofs import EntryProof, RootRecord

EXIT_DIFFERS = 1
ROOT_HEADS = columns("DAY", ">COMMITS", "ROOT")
CSV_HEADS = ("number", "time", "event", "words", "subject", "job", "amount", "legs")
HASH_CHARS = 64


@click.group(name="ledger")
def command() -> None:
    """The public books: recompute, check and export them."""


@shell_command(group=command)
def audit(shell: Shell) -> int:
    """Recompute every account from every transfer; ends with 1 where the books differ."""
    view = shell.client.ledger.audit()
    shell.result(view, lambda: _show_audit(view))
    return 0 if view.ok else EXIT_DIFFERS


@shell_command(group=command)
def roots(shell: Shell) -> None:
    """What was published of each day: keep one, and nobody can change the books before it unseen."""
    found = list(shell.client.ledger.roots())
    empty = "no roots yet: a day's comes after midnight UTC"
    shell.result(found, lambda: table(ROOT_HEADS, [_root_row(root) for root in found], empty=empty))


@shell_command(group=command)
@click.option(
    "--since", default="", metavar="ROOT", help="A root that you kept; the start by default."
)
def verify(shell: Shell, since: str) -> int:
    """Check here that the books follow from a root and end in what is audited; ends with 1 where not.

    Every hash is computed on this machine: the server is not believed.
    """
    if since:
        _check_hash("--since", since)
    told = shell.client.ledger.verify(since)
    sums = [
        ("books", "follow" if told.ok else "DO NOT FOLLOW"),
        ("wrong", told.wrong),
        ("from", told.since or "the start"),
        ("roots", f"{told.roots:,} checked"),
        ("commits", f"{told.batches:,} checked after the last root"),
        ("head", told.head and f"{told.head} (the audit's)" if told.ok else told.head),
        ("keep", told.newest_root and f"{told.newest_root} (root of {told.newest_day})"),
    ]
    shell.result(told, lambda: facts(sums))
    return 0 if told.ok else EXIT_DIFFERS


@shell_command(group=command)
@click.argument("transfer", type=click.IntRange(min=1))
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Save it to this file."
)
def proof(shell: Shell, transfer: int, out: Path | None) -> None:
    """The proof that TRANSFER (a number from your statement) is under its day's root, as JSON."""
    import msgspec

    found = shell.client.ledger.proof(transfer)
    text = msgspec.json.encode(found)
    if out is None:
        click.echo(text)
        return
    out.write_bytes(text + b"\n")
    shell.result(
        found,
        lambda: f"saved {out}; check it: gondwana ledger check {out} --root {found.root.hash}",
    )


@shell_command(group=command, remote=False)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--root", required=True, metavar="HEX", help="The root that was published for its day."
)
def check(shell: Shell, file: Path, root: str) -> int:
    """Check a saved proof against a published root, without any server; ends with 1 where it does not hold."""
    from gondwana.wire.proofs import check_entry

    _check_hash("--root", root)
    found = _read_proof(file)
    try:
        wrong = check_entry(found, root.lower())
        entry: list[Any] = json.loads(found.entry)
    except ValueError:
        wrong, entry = "the proof is not written as one", []
    told = {"ok": wrong is None, "wrong": wrong or "", "day": found.root.day, "entry": entry}
    shell.result(told, lambda: _show_check(wrong, found, entry))
    return 0 if wrong is None else EXIT_DIFFERS


@shell_command(group=command)
@click.option(
    "--since",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Only entries numbered above N.",
)
@click.option("--csv", "form", flag_value="csv", help="CSV, one line per entry.")
@click.option(
    "--jsonl",
    "form",
    flag_value="jsonl",
    default=True,
    help="One JSON object per line; the default.",
)
def export(shell: Shell, since: int, form: str) -> None:
    """Entries with legs and words, in their order: those that touch your accounts; all for an operator.

    Keep the last number, and go on from there the next time: --since N.
    """
    import msgspec

    if form == "csv" and shell.json:
        raise click.UsageError("give --csv or --json, not both", click.get_current_context())
    entries = shell.client.ledger.entries(since)
    if shell.json:
        click.echo(msgspec.json.encode(list(entries)))
        return
    if form == "csv":
        click.echo(csv_line(CSV_HEADS))
    for entry in entries:
        click.echo(_csv(entry) if form == "csv" else msgspec.json.encode(entry))


def _show_audit(view: AuditView) -> str:
    sums = [
        ("books", "balance" if view.ok else "DO NOT BALANCE"),
        ("accounts", f"{view.accounts:,}"),
        ("entries", f"{view.entries:,}"),
        ("transfers", f"{view.transfers:,}"),
        ("commits", f"{view.batches:,}"),
        ("roots", f"{view.roots:,}" + (f", the last of {view.root_day}" if view.root_day else "")),
        ("head", view.head),
        ("held inside", format_usd(view.held_micro_usd, decimals=6)),
        (
            "unclear payments",
            f"{format_usd(view.unclear_micro_usd, decimals=6)} (nobody knows yet whose they are)",
        ),
    ]
    sums += [
        (f"sum of {asset}", f"{amount:,} (must be 0)") for asset, amount in view.sums_micro.items()
    ]
    return facts([*sums, *(("differs", difference) for difference in view.differences)])


def _root_row(root: RootRecord) -> list[str]:
    return [root.day, f"{root.last_batch - root.first_batch + 1:,}", root.hash]


def _show_check(wrong: str | None, found: EntryProof, entry: list[Any]) -> str:
    pairs = [("proof", "holds" if wrong is None else "DOES NOT HOLD"), ("wrong", wrong or "")]
    if wrong is not None:
        return facts(pairs)
    number, _, kind, subject, _, at_ms, _, legs = entry
    pairs += [
        ("day", found.root.day),
        ("transfers", f"{number} to {number + len(legs) - 1}"),
        ("when", f"{moment_utc(at_ms / 1000)} UTC"),
        ("event", f"{kind} {subject}"),
    ]
    pairs += [
        ("leg", f"{debit} → {credit}: {format_usd(amount, decimals=6)}")
        for debit, credit, amount, _, _ in legs
    ]
    return facts(pairs)


def _read_proof(file: Path) -> EntryProof:
    import msgspec

    from gondwana.core.decoding import from_json

    try:
        return from_json(file.read_bytes(), EntryProof)
    except msgspec.MsgspecError as error:
        raise InvalidBytes(
            f"{file} is no proof: {error}", hint="gondwana ledger proof TRANSFER --out FILE"
        ) from None


def _check_hash(field: str, text: str) -> None:
    digits = set("0123456789abcdefABCDEF")
    if len(text) != HASH_CHARS or not set(text) <= digits:
        raise InvalidValue(
            field=field, value=text[:80], hint="64 hexadecimal characters: gondwana ledger roots"
        )


def _csv(entry: EntryView) -> str:
    legs = [[leg.debit, leg.credit, dollars(leg.amount_micro_usd), leg.kind] for leg in entry.legs]
    moved = sum(leg.amount_micro_usd for leg in entry.legs if _moves_money(leg))
    return csv_line(
        (entry.number, iso_utc(entry.at), entry.event, entry.words, entry.subject, entry.job or "",
         dollars(moved), json.dumps(legs, separators=(",", ":")))
    )  # fmt: skip


def _moves_money(leg: LegView) -> bool:
    """A hold moves nothing yet, and a budget is a limit."""
    budget = leg.debit.startswith("budget:") or leg.credit.startswith("budget:")
    return leg.kind in ("post", "post_pending") and not budget
