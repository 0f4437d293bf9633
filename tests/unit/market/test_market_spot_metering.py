"""What a lease costs whose price changes: each proven second at its own price, however often anybody settles."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.money import due_micro_usd
from gondwana.core.values import replace
from gondwana.ledger import rules as ledger
from gondwana.ledger.model import Balance, LeaseTerms, Shares
from gondwana.market.spot.rules import repriced

CAP = 900_000
steps = st.lists(
    st.one_of(
        st.tuples(st.just("proves"), st.integers(0, 90_000)),
        st.tuples(st.just("pays"), st.integers(0, CAP)),
        st.tuples(st.just("settles"), st.just(0)),
    ),
    max_size=40,
)


def terms(lease):
    return LeaseTerms(
        lease_id=lease.id, tenant_id="t", provider_id="p", price_micro_usd_per_hour=lease.price_micro_usd_per_hour,
        shares=Shares(), job_id=lease.job_id, due_before_micro_usd=lease.due_before_micro_usd,
        priced_from_seconds=lease.priced_from_seconds,
    )  # fmt: skip


def run(lease, steps, *, settles, escrow=10**12):
    """(what the escrow paid at the end, the lease)."""
    books = Balance(credits_posted=escrow)

    def pay(post):
        nonlocal books
        entry = post(terms(lease), lease.seconds_proven, books)
        paid = sum(leg.amount_micro_usd for leg in entry.legs if "tenant" not in leg.credit)
        books = replace(books, debits_posted=books.debits_posted + paid)

    for what, amount in steps:
        if what == "proves":
            lease = replace(lease, proven_ms=lease.proven_ms + amount)
        elif what == "pays":
            lease = repriced(lease, amount)
        elif settles:
            pay(ledger.meter)
    pay(ledger.close_lease)
    return books.debits_posted, lease


@given(steps, st.integers(0, 300_000), st.integers(1, 8))
def test_the_sum_does_not_depend_on_how_often_one_settles(make, steps, escrow, devices):
    lease = make.lease(devices=devices, price_micro_usd_per_device_hour=50_000)
    often, after = run(lease, steps, settles=True, escrow=escrow)
    once, _ = run(lease, steps, settles=False, escrow=escrow)
    assert often == once == min(after.due_micro_usd, escrow)


@given(steps, st.integers(1, 8))
def test_each_whole_second_costs_the_price_it_had_to_less_than_a_micro_dollar_a_change(
    make, steps, devices
):
    lease = make.lease(devices=devices, price_micro_usd_per_device_hour=50_000)
    exact, seconds, changes = Fraction(0), 0, 0
    for what, amount in steps:
        before = lease
        if what == "proves":
            lease = replace(lease, proven_ms=lease.proven_ms + amount)
            exact += Fraction(
                (lease.seconds_proven - seconds) * lease.price_micro_usd_per_hour, 3600
            )
            seconds = lease.seconds_proven
        elif what == "pays":
            lease = repriced(lease, amount)
            changes += lease is not before
            assert (
                lease.due_micro_usd == before.due_micro_usd
            )  # a new price changes nothing of the past
    assert 0 <= exact - lease.due_micro_usd < 1 + changes
    assert lease.due_micro_usd <= due_micro_usd(CAP * devices, lease.seconds_proven)


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(0, 10**5))
def test_a_lease_whose_price_never_changes_costs_what_it_always_did(make, price, proven_ms, escrow):
    lease = replace(
        make.lease(devices=2, price_micro_usd_per_device_hour=price), proven_ms=proven_ms
    )
    assert lease.due_micro_usd == due_micro_usd(2 * price, proven_ms // 1000)
    assert repriced(lease, price) is lease
    assert terms(lease).due_micro_usd(proven_ms // 1000) == lease.due_micro_usd


@given(
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.integers(0, 10**5),
    st.integers(0, 10**5),
    st.integers(0, 10**6),
)
def test_the_runway_is_as_long_as_the_rest_of_the_escrow_pays_at_the_present_price(
    make, first, second, before, since, escrow
):
    lease = repriced(
        replace(make.lease(price_micro_usd_per_device_hour=first), proven_ms=1_000 * before), second
    )
    seconds = before + since
    left = ledger.runway_seconds(terms(lease), seconds, Balance(credits_posted=escrow))
    due = terms(lease).due_micro_usd
    if left:
        assert due(seconds + left) <= escrow
    if due(seconds) < escrow:
        assert due(seconds + left + 1) + 1 > escrow
