"""Slashes: proposed with their evidence, appealed, upheld or reversed; each step with its entry and its event."""

from collections.abc import Mapping
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import NoSuchThing, WrongState
from gondwana.core.events import Event
from gondwana.core.values import replace
from gondwana.db.conditional import expect_state
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.ledger import reports, rules, stakes
from gondwana.ledger.accounts import (
    fund_insurance,
    provider_holdback,
    reporter_payable,
    stake,
    stake_unbonding,
)
from gondwana.ledger.cases import (
    SLASH_TRANSITIONS,
    TEXT_CHARS_MAX,
    Case,
    SlashState,
    SlashTerms,
    check_text,
    evidence_hash,
    evidence_text,
)
from gondwana.ledger.model import Entry
from gondwana.ledger.rules import APPEAL_SECONDS, DECIDE_SECONDS, Unbonding
from gondwana.ledger.store import balance, balances, entry_of, event_key, post

SQL: Final = load_queries("gondwana.ledger", "slashes.sql")
CASES_MAX: Final = 10_000  # looked at in one pass
NOBODY_APPEALED: Final = "nobody appealed in time"
NOBODY_JUDGED: Final = "nobody judged the appeal in time"


def case(reader: Reader, id: str) -> Case:
    """One case; raises NoSuchThing."""
    found = find_case(reader, id)
    if found is None:
        raise NoSuchThing(case=id, hint="gondwana case list")
    return found


def find_case(reader: Reader, id: str) -> Case | None:
    """One case, if there is one."""
    row = reader.one(SQL.case_by_id, {"id": id})
    return from_row(Case, row) if row else None


def cases(
    reader: Reader, principal_id: str | None, *, before: str | None = None, limit: int
) -> list[Case]:
    """Cases that accuse somebody or make him whole, or all of them, newest first."""
    params = {"principal_id": principal_id, "before": before, "limit": limit}
    return from_rows(Case, reader.all(SQL.cases, params))


def to_settle(reader: Reader, now: Instant) -> list[str]:
    """Cases that silence decides by now."""
    params = {
        "proposed_before": now - APPEAL_SECONDS,
        "appealed_before": now - DECIDE_SECONDS,
        "limit": CASES_MAX,
    }
    return [row["id"] for row in reader.all(SQL.cases_to_settle, params)]


def takeable_micro_usd(reader: Reader, provider_id: str) -> int:
    """All that a slash of this owner could take now."""
    places = provider_holdback(provider_id), stake(provider_id), stake_unbonding(provider_id)
    return sum(found.available_micro_usd for found in balances(reader, places).values())


def open_slash(
    tx: Transaction, now: Instant, terms: SlashTerms, *, evidence: Mapping[str, Any], machine_id: str | None = None,
    unit_id: str | None = None,
) -> Case:  # fmt: skip
    """Hold what a slash takes, as far as it is there, and store what it rests on; the accused may appeal from now on.

    `terms.reporters` are reports, as `reports.in_order` gives them; they share this case from now on.
    """
    check_text("reason", terms.reason)
    text = evidence_text(evidence)
    hold = rules.slash(
        terms,
        holdback=balance(tx, provider_holdback(terms.provider_id)),
        stake=balance(tx, stake(terms.provider_id)),
        unbonding=balance(tx, stake_unbonding(terms.provider_id)),
    )
    post(tx, hold, now)
    opened = Case(
        id=terms.case_id,
        provider_id=terms.provider_id,
        tenant_id=terms.tenant_id,
        machine_id=machine_id,
        job_id=terms.job_id,
        unit_id=unit_id,
        amount_micro_usd=terms.amount_micro_usd,
        held_micro_usd=hold.total_micro_usd(),
        made_whole_micro_usd=terms.made_whole_micro_usd,
        verification_cost_micro_usd=terms.verification_cost_micro_usd,
        reports=terms.reporters,
        bounty_bps=terms.bounty_bps,
        reason=terms.reason,
        evidence=text,
        evidence_hash=evidence_hash(text),
        state=SlashState.PROPOSED,
        proposed_at=now,
    )
    tx.execute(SQL.save_case, to_row(opened))
    for report_id in terms.reporters:
        reports.join(tx, report_id, opened.id)
    _emit(tx, now, opened, {"held_micro_usd": opened.held_micro_usd, "reason": opened.reason})
    return opened


def appeal(tx: Transaction, now: Instant, case_id: str, caller_id: str, text: str) -> Case:
    """The case, appealed by the accused; its money stays held. Raises NoSuchThing for anybody else, WrongState."""
    known = case(tx, case_id)
    if known.provider_id != caller_id:
        raise NoSuchThing(case=case_id, hint="gondwana case list")
    if not rules.may_appeal(known.state, known.proposed_at, now=now):
        is_late = known.state is SlashState.PROPOSED
        raise WrongState(
            f"{case_id} could be appealed for {APPEAL_SECONDS // 3600} hours"
            if is_late
            else f"{case_id} is {known.state}: a slash is appealed once, while it is proposed"
        )
    said = check_text("text", text, chars_max=TEXT_CHARS_MAX)
    changed = replace(known, appeal=said, appealed_at=now)
    return _move(tx, now, changed, SlashState.APPEALED)


def decide(tx: Transaction, now: Instant, case_id: str, verdict: SlashState, why: str) -> Case:
    """The case, ended by a verdict on its appeal: upheld or reversed. Raises WrongState."""
    known = case(tx, case_id)
    to = rules.next_slash_state(known.state, known.proposed_at, now=now, verdict=verdict)
    return _end(tx, now, known, to, check_text("why", why))


def settle(tx: Transaction, now: Instant, case_id: str) -> Case:
    """The case as silence leaves it: upheld where nobody appealed, reversed where nobody judged, or as it is."""
    known = case(tx, case_id)
    to = rules.next_slash_state(
        known.state, known.proposed_at, now=now, appealed_at=known.appealed_at
    )
    if to is known.state:
        return known
    why = NOBODY_APPEALED if to is SlashState.UPHELD else NOBODY_JUDGED
    return _end(tx, now, known, to, why)


def correct_case(tx: Transaction, now: Instant, case_id: str, why: str) -> Case:
    """An upheld case undone: the mirror of all that it moved is posted, the last step first.

    Raises WrongState where it is not upheld, Conflict where a part of it was corrected by itself, FundsTooLow where
    somebody has spent by now what he got.
    """
    known, said = case(tx, case_id), check_text("why", why)
    hold = hold_of(tx, known)
    moved = _move(tx, now, replace(known, verdict=said), SlashState.CORRECTED)
    for entry in reversed(paid_entries(tx, known)):
        mirror = rules.correct(entry, why=said)
        named = f"correction:{event_key(entry.event_id).hex()}"  # as `treasury.correct` does: once
        post(tx, replace(mirror, event_id=named), now)
    account = stake_unbonding(known.provider_id)
    back = sum(leg.amount_micro_usd for leg in hold.legs if leg.debit == account)
    if (
        back
    ):  # it waits for what is left of its time, under a key of its own: the old one may be used up
        part = Unbonding(id=f"unb_{known.id}", provider_id=known.provider_id, amount_micro_usd=back,
                         unbonded_at=known.proposed_at)  # fmt: skip
        stakes.put_unbonding(tx, now, part)
    return moved


def hold_of(reader: Reader, known: Case) -> Entry:
    """What a case holds or held, as it was posted."""
    found = entry_of(reader, f"slash:{known.id}")
    return found or Entry(event_id=f"slash:{known.id}", kind="slash", subject=known.id, legs=())


def paid_entries(reader: Reader, known: Case) -> list[Entry]:
    """What an upheld case posted, in order: the slash, what the insurance fund added, the bounties."""
    upheld = rules.uphold_slash(hold_of(reader, known))
    names = [f"slash.cover:{known.id}", *(f"bounty.pay:{report}" for report in known.reports)]
    later = [entry_of(reader, name) for name in names]
    return [*([upheld] if upheld.legs else []), *(entry for entry in later if entry is not None)]


def _end(tx: Transaction, now: Instant, known: Case, to: SlashState, why: str) -> Case:
    hold = hold_of(tx, known)
    if to is SlashState.UPHELD:
        post(tx, rules.uphold_slash(hold), now)
        fund = balance(tx, fund_insurance())
        post(tx, rules.cover_slash(known.terms, hold, fund=fund), now)
        _pay_bounties(tx, now, known, hold)
    else:
        post(tx, rules.reverse_slash(hold, reason=why), now)
    return _move(tx, now, replace(known, verdict=why, ended_at=now), to)


def _pay_bounties(tx: Transaction, now: Instant, known: Case, hold: Entry) -> None:
    for report_id in known.reports:
        account = reporter_payable(report_id)
        share = sum(leg.amount_micro_usd for leg in hold.legs if leg.credit == account)
        if share:
            payer = reports.report(tx, report_id).payer
            post(tx, rules.pay_bounty(report_id, payer, amount_micro_usd=share), now)


def _move(tx: Transaction, now: Instant, changed: Case, to: SlashState) -> Case:
    """The changed case in its new state. Raises WrongState where the table has no such arrow."""
    if to not in SLASH_TRANSITIONS[changed.state]:
        raise WrongState(f"{changed.id} is {changed.state}, it cannot become {to}")
    expect_state(tx, SQL.case_by_id, changed.id, changed.state)
    moved = replace(changed, state=to)
    tx.execute(SQL.save_case, to_row(moved))
    _emit(tx, now, moved, {"verdict": moved.verdict} if moved.verdict else {})
    return moved


def _emit(tx: Transaction, now: Instant, subject: Case, data: dict[str, Any]) -> None:
    """An event that names no reporter: the accused, or who follows the job, may read it."""
    tx.emit(
        Event(
            at=now,
            kind=f"slash.{subject.state}",
            subject=subject.id,
            job_id=subject.job_id,
            data=data,
        )
    )
