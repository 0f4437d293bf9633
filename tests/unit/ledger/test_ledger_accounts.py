import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.errors import InvalidValue
from gondwana.ledger import accounts
from gondwana.ledger.accounts import CHART, Limit, kind_of


@pytest.mark.parametrize(
    ("name", "code", "limit"),
    [
        (accounts.ext("manual"), 1000, Limit.CREDITS),
        (accounts.tenant_available("prn_1"), 2000, Limit.DEBITS),
        (accounts.lease_escrow("lse_1"), 2100, Limit.DEBITS),
        (accounts.task_escrow("job_1"), 2110, Limit.DEBITS),
        (accounts.provider_holdback("prn_2"), 2200, Limit.DEBITS),
        (accounts.provider_payable("prn_2"), 2210, Limit.DEBITS),
        (accounts.verifier_payable("prn_3"), 2400, Limit.DEBITS),
        (accounts.tax("de"), 2500, Limit.DEBITS),
        (accounts.fund_insurance(), 3000, Limit.DEBITS),
        (accounts.fund_verification(), 3050, Limit.DEBITS),
        (accounts.income_fees(), 4000, Limit.NONE),
        ("stake:prn_1:unbonding", 2310, Limit.DEBITS),
        ("fund:subsidy:early:12", 3100, Limit.DEBITS),
        ("suspense:bank", 1090, Limit.NONE),
        ("expense:chargeback", 5000, Limit.NONE),
    ],
)
def test_a_name_tells_the_line_of_the_chart(name, code, limit):
    assert (kind_of(name).code, kind_of(name).limit) == (code, limit)


@pytest.mark.parametrize(
    "name",
    ["", "tenant", "tenant::available", "tenant:a:b:available", "tenant:a b:available", "lease:x", "income:other",
     "tenant:a:available ", "tenant:a:available\n", "fund:subsidy:a", "tenant:ä:available", f"tax:{'x' * 65}"],
)  # fmt: skip
def test_a_name_outside_the_chart_is_refused(name):
    with pytest.raises(InvalidValue):
        kind_of(name)


@given(st.text(max_size=12))
def test_an_id_cannot_reach_into_another_account(text):
    try:
        name = accounts.tenant_available(text)
    except InvalidValue:
        return
    assert kind_of(name).code == 2000
    assert name.count(":") == 2


def test_every_line_of_the_chart_says_what_it_is():
    assert all(kind.explains for kind in CHART)
    assert len({kind.name for kind in CHART}) == len(CHART)
