import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.errors import WrongState
from gondwana.ledger import rules
from gondwana.ledger.accounts import AccountName, provider_payable
from gondwana.ledger.model import (
    Assignment,
    Balance,
    Entry,
    Leg,
    Shares,
    TaskTerms,
    TransferKind,
)

TASK = TaskTerms(job_id="j", tenant_id="t", shares=Shares())
UNIT = Assignment(unit_id="u", provider_id="p", price_micro_usd=1_000_000)


def post(books, entry):
    """Apply an entry's moves in order to `{account: credits less debits}`; returns the lowest balance seen."""
    lowest = 0
    for leg in entry.legs:
        if leg.kind in (TransferKind.POST, TransferKind.POST_PENDING):
            books[leg.debit] = books.get(leg.debit, 0) - leg.amount_micro_usd
            books[leg.credit] = books.get(leg.credit, 0) + leg.amount_micro_usd
            lowest = min(lowest, books[leg.debit])
    return lowest


@given(st.lists(st.tuples(st.permutations(range(4)), st.integers(1, 100)), min_size=1, max_size=9))
def test_a_correction_undoes_all_that_was_moved(moves):
    names = [AccountName(f"tenant:t{n}:available") for n in range(4)]
    made = tuple(
        Leg(debit=names[ends[0]], credit=names[ends[1]], amount_micro_usd=amount)
        for ends, amount in moves
    )
    original = Entry(event_id="e", kind="deposit", subject="t", legs=made)
    books = {}
    post(books, original)
    post(books, rules.correct(original, why="typo"))
    assert set(books.values()) == {0}


def test_a_correction_goes_back_step_by_step_so_that_no_account_is_overdrawn_on_the_way():
    a, b, c = (AccountName(f"tenant:{name}:available") for name in "abc")
    chain = (Leg(debit=a, credit=b, amount_micro_usd=5), Leg(debit=b, credit=c, amount_micro_usd=5))
    original = Entry(event_id="e", kind="deposit", subject="t", legs=chain)
    books = {a: 5}
    assert post(books, original) == 0
    assert post(books, rules.correct(original, why="typo")) == 0


def test_a_payment_out_of_a_hold_is_corrected_by_a_plain_transfer():
    paid = rules.accept_unit(TASK, UNIT)
    mirror = rules.correct(paid, why="wrong")
    assert {leg.kind for leg in mirror.legs} == {TransferKind.POST}
    assert {leg.credit for leg in mirror.legs} == {"task:j:escrow"}
    assert sum(leg.amount_micro_usd for leg in mirror.legs) == 1_000_000
    assert (mirror.subject, mirror.job_id) == (paid.subject, paid.job_id)


def test_a_correction_happens_once_and_names_the_original():
    original = rules.deposit("bank", "t", 5, key="k")
    mirror = rules.correct(original, why="typed twice")
    assert mirror.event_id == rules.correct(original, why="other words").event_id
    assert mirror.facts[0] == original.event_id
    assert mirror.reason == f"Correction of {original.event_id}: typed twice"


def test_a_correction_can_itself_be_corrected():
    original = rules.deposit("bank", "t", 5, key="k")
    again = rules.correct(rules.correct(original, why="x"), why="it was right")
    assert again.legs == original.legs


@pytest.mark.parametrize("entry", [
    rules.payout("bank", provider_payable("p"), 5, key="k"),
    rules.fail_payout("bank", provider_payable("p"), 5, key="k", reason="x"),
    rules.mature("p", credited_before_window=0, holdback=Balance()),
])  # fmt: skip
def test_what_moved_nothing_cannot_be_corrected(entry):
    with pytest.raises(WrongState):
        rules.correct(entry, why="x")
