"""`gondwana case`"""

import json
from pathlib import Path
from typing import Any

import click

from gondwana.cli.output import columns, facts, moment, table
from gondwana.cli.payments import some_usd
from gondwana.cli.shell import Shell, clean, shell_command
from gondwana.core.errors import InvalidValue
from gondwana.core.money import format_usd, parse_usd
from gondwana.wire.stakes import CaseView, ReportView

HEADS = columns("ID", "STATE", "SINCE", ">AMOUNT", "REASON")
REPORT_HEADS = columns("ID", "STATE", "AT", ">BOND", "CASE", "CLAIM")
EVIDENCE_BYTES_MAX = 64 * 1024  # what a control plane takes
OVER = {
    "proposed": "is held, and will move",
    "appealed": "is held, until the appeal is judged",
    "upheld": "moved",
    "reversed": "was held, and is free again",
    "corrected": "moved, and moved back",
}


@click.group(name="case")
def command() -> None:
    """Slashes for wrong work: see them, appeal, report; propose and judge (operator)."""


@shell_command(name="list", group=command)
@click.option("--all", "everyone", is_flag=True, help="Everybody's (operator).")
def list_cases(shell: Shell, *, everyone: bool) -> None:
    """Cases against you, or that make you whole."""
    found = list(shell.client.cases.list(everyone=everyone))
    shell.result(found, lambda: table(HEADS, [_row(case) for case in found], empty="no cases"))


@shell_command(group=command)
@click.argument("case")
def show(shell: Shell, case: str) -> None:
    """One case: what happened when, where its money goes, what it rests on."""
    view = shell.client.cases.get(case)
    shell.result(view, lambda: show_case(view))


@shell_command(group=command)
@click.argument("case")
@click.argument("text")
def appeal(shell: Shell, case: str, text: str) -> None:
    """Say in TEXT why the slash is wrong: once, within three days."""
    view = shell.client.cases.appeal(case, text)
    shell.result(view, lambda: show_case(view))


@shell_command(group=command)
@click.argument("machine")
@click.argument("claim")
@click.option("--job", default="", metavar="JOB", help="Which of your jobs it served.")
@click.option("--bond", "bond_text", default=None, metavar="USD", help="More than the least bond.")
@click.option("--from-earnings", is_flag=True, help="Take the bond from an owner's earnings.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before the bond is put down.")
def report(
    shell: Shell, machine: str, claim: str, job: str, bond_text: str | None, *, from_earnings: bool, yes: bool
) -> None:  # fmt: skip
    """Report wrong work of a MACHINE; the accused is not told by whom.

    The bond comes back where the report is right, with a share of the slash; else half of it is the accused's.
    """
    bond = None if bond_text is None else some_usd(bond_text, field="--bond")
    least = "the least bond (the operator sets it; $5 if he did not)"
    amount = least if bond is None else f"a bond of {format_usd(bond)}"
    shell.ask(f"Report {machine}, and put down {amount}? It is lost if the report is wrong.", yes=yes)  # fmt: skip
    view = shell.client.cases.report(
        machine, claim, job=job, bond_micro_usd=bond, from_earnings=from_earnings
    )
    shell.result(view, lambda: show_report(view))


@shell_command(group=command)
@click.option("--all", "everyone", is_flag=True, help="Everybody's (operator).")
def reports(shell: Shell, *, everyone: bool) -> None:
    """Your reports, and what became of them."""
    found = list(shell.client.cases.reports(everyone=everyone))
    shell.result(
        found, lambda: table(REPORT_HEADS, [_report_row(each) for each in found], empty="no reports")
    )  # fmt: skip


@shell_command(name="open", group=command)
@click.argument("machine")
@click.argument("amount", metavar="USD")
@click.option("--reason", required=True, help="One line that the accused reads.")
@click.option(
    "--evidence", "evidence_path", required=True, type=click.Path(path_type=Path, exists=True),
    help="A file with a JSON object: all that the case rests on.",
)  # fmt: skip
@click.option("--job", default="", metavar="ID", help="The job that it is about.")
@click.option("--made-whole", default="0", metavar="USD", help="What the tenant lost.")
@click.option("--tenant", default="", metavar="NAME", help="Who lost it; the job's by default.")
@click.option("--checks", default="0", metavar="USD", help="What checking this case cost.")
@click.option("--report", "reports_of_it", multiple=True, metavar="ID", help="An upheld report.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before money is held.")
def open_case(
    shell: Shell, machine: str, amount: str, reason: str, evidence_path: Path, job: str, made_whole: str,
    tenant: str, checks: str, reports_of_it: tuple[str, ...], *, yes: bool,
) -> None:  # fmt: skip
    """Propose a slash of USD of a MACHINE's owner (operator)."""
    micro_usd = some_usd(amount, field="USD")
    evidence = _read_evidence(evidence_path)
    shell.ask(f"Hold {format_usd(micro_usd)} of the owner of {machine}?", yes=yes)
    view = shell.client.cases.open(
        machine, micro_usd, reason=reason, evidence=evidence, job=job, tenant=tenant,
        made_whole_micro_usd=parse_usd(made_whole, field="--made-whole"),
        verification_cost_micro_usd=parse_usd(checks, field="--checks"), reports=reports_of_it,
    )  # fmt: skip
    shell.result(view, lambda: show_case(view))


@shell_command(group=command)
@click.argument("name", metavar="CASE|REPORT")
@click.argument("verdict", type=click.Choice(["uphold", "reverse", "refuse"]))
@click.option("--why", required=True, help="One line that is kept with the verdict.")
def decide(shell: Shell, name: str, verdict: str, why: str) -> None:
    """Judge an appeal (uphold, reverse) or a report (uphold, refuse) (operator)."""
    if name.startswith("rep_"):
        told = shell.client.cases.decide_report(name, verdict, why)
        shell.result(told, lambda: show_report(told))
        return
    view = shell.client.cases.decide(name, verdict, why)
    shell.result(view, lambda: show_case(view))


@shell_command(group=command)
@click.argument("case")
@click.option("--why", required=True, help="One line that is kept with the correction.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before money moves back.")
def correct(shell: Shell, case: str, why: str, *, yes: bool) -> None:
    """Undo a slash that was upheld in error: everybody gives back what it moved (operator)."""
    shell.ask(f"Move all the money of {case} back?", yes=yes)
    view = shell.client.cases.correct(case, why)
    shell.result(view, lambda: show_case(view))


def show_case(view: CaseView) -> str:
    """A case as text: who and what, the timeline, the money of each part, the evidence."""
    about = facts([
        ("case", f"{view.id}  {view.state}"),
        ("accused", view.accused),
        ("machine", view.machine_id),
        ("job", view.job_id),
        ("reason", view.reason),
        ("asked for", format_usd(view.amount_micro_usd)),
        ("made whole", format_usd(view.made_whole_micro_usd) if view.made_whole_micro_usd else ""),
        ("reports", ", ".join(view.reports)),
    ])  # fmt: skip
    money = [(format_usd(part.amount_micro_usd), part.words) for part in view.money]
    held = f"{format_usd(view.held_micro_usd)} {OVER.get(view.state, '')}"
    parts = [about, "", facts(_timeline(view)), "", held]
    parts += [facts(money)] if money else []
    if view.evidence:
        parts += ["", f"evidence, SHA-256 {view.evidence_hash}", clean(view.evidence)]
    return "\n".join(parts)


def _timeline(view: CaseView) -> list[tuple[str, str]]:
    """When what happened, then what comes next."""
    lines = [(moment(view.proposed_at), f"proposed: {view.reason}")]
    if view.appealed_at is not None:
        lines.append((moment(view.appealed_at), f"appealed: {view.appeal}".rstrip(": ")))
    if view.ended_at is not None:
        lines.append((moment(view.ended_at), f"{view.state}: {view.verdict}"))
    elif view.judge_until is not None:
        lines.append((moment(view.judge_until), "reversed, if nobody has judged the appeal by then"))  # fmt: skip
    else:
        lines.append((moment(view.appeal_until), "upheld, if it is not appealed by then"))
    return lines


def show_report(view: ReportView) -> str:
    """A report as text."""
    return facts([
        ("report", f"{view.id}  {view.state}"),
        ("machine", view.machine_id),
        ("job", view.job_id),
        ("claim", view.claim),
        ("bond", format_usd(view.bond_micro_usd)),
        ("case", view.case_id),
        ("verdict", view.verdict),
    ])  # fmt: skip


def _row(view: CaseView) -> list[str]:
    since = view.ended_at or view.appealed_at or view.proposed_at
    return [view.id, view.state, moment(since), format_usd(view.held_micro_usd), view.reason]


def _report_row(view: ReportView) -> list[str]:
    bond = format_usd(view.bond_micro_usd)
    return [view.id, view.state, moment(view.at), bond, view.case_id, view.claim]


def _read_evidence(path: Path) -> dict[str, Any]:
    if path.stat().st_size > EVIDENCE_BYTES_MAX:
        raise InvalidValue(field="--evidence", value=str(path), hint="at most 64 KB of JSON")
    try:
        found: Any = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidValue(
            f"{path} is no JSON: {error}", field="--evidence", hint="a JSON object: {…}"
        ) from None
    if not isinstance(found, dict):
        raise InvalidValue(field="--evidence", value=str(path), hint="a JSON object: {…}")
    return found
