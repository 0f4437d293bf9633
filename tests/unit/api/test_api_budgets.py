"""Budgets over HTTP: amounts to the letter, and what an idempotency key stands for."""

import pytest

from gondwana.core.errors import IdempotencyConflict, InvalidValue

JSON = {"Content-Type": "application/json"}


def test_one_idempotency_key_lifts_one_budget_and_not_whichever_is_named(served):
    budgets = served.client.budgets
    for project in ("vision", "speech"):
        budgets.set(1_000_000, project=project)
    headers = {"Idempotency-Key": "once"}
    lift = budgets._transport.request
    first = lift("DELETE", "/v1/budgets?project=vision", headers=headers)
    assert lift("DELETE", "/v1/budgets?project=vision", headers=headers).body == first.body
    with pytest.raises(IdempotencyConflict):
        lift("DELETE", "/v1/budgets?project=speech", headers=headers)
    assert [each.project for each in budgets.list()] == ["speech"]


@pytest.mark.parametrize("amount", ['"1000000"', "true", "1.0", "-1", str(2**63)])
def test_a_limit_that_is_no_whole_amount_is_refused(served, amount):
    body = f'{{"limit_micro_usd": {amount}}}'.encode()
    with pytest.raises(InvalidValue):
        served.client.budgets._transport.request("PUT", "/v1/budgets", body=body, headers=JSON)
    assert list(served.client.budgets.list()) == []
