"""List prices: dated, with a source; the same work at each; nothing is compared that the table does not know."""

import pytest

from gondwana.core.errors import InvalidValue
from gondwana.market.plans.list_prices import COMPARISONS_MAX, compare, packaged, parse
from gondwana.market.plans.model import Host

ROW = '[sources]\ns = "somewhere"\n[[price]]\nprovider = "P"\nkind = "specialist"\nmodel = "H100"\nusd_per_device_hour = "2.5"\nas_of = "2026-05"\nsource = "s"\n'  # noqa: E501


def hosts(make, *models):
    return [
        Host(listing=make.listing(f"m{n}", accelerator=model)) for n, model in enumerate(models)
    ]


def test_every_packaged_price_has_a_date_a_source_and_a_speed():
    table = packaged()
    assert len(table.prices) > 10
    for each in table.prices:
        assert each.as_of
        assert each.source
        assert each.price_micro_usd_per_device_hour > 0
        assert each.model in table.tflops


def test_the_same_model_is_compared_hour_by_hour(make):
    found, why = compare(packaged(), hosts(make, "H100", "H100"), devices=4, seconds=7200)
    assert why == ""
    assert len(found) == COMPARISONS_MAX
    same = [each for each in found if each.listed.model == "H100"]
    assert found[: len(same)] == tuple(same)
    aws = next(each for each in same if each.listed.provider == "AWS")
    assert (aws.device_hours, aws.per_device, aws.cost_micro_usd) == (16.0, 1.0, 16 * 12_290_000)


def test_another_model_is_compared_by_its_speed(make):
    table = parse(ROW + "[tflops]\nH100 = 1000\nRTX4090 = 200\n", source="f")
    (found,), _ = compare(table, hosts(make, "RTX4090"), devices=1, seconds=3600 * 10)
    assert (found.device_hours, found.per_device, found.cost_micro_usd) == (2.0, 0.2, 5_000_000)


@pytest.mark.parametrize("models", [["CPU"], ["H100", "XPU"]])
def test_nothing_is_compared_that_the_table_does_not_know(make, models):
    found, why = compare(packaged(), hosts(make, *models), devices=1, seconds=3600)
    assert found == ()
    assert why == f"no comparison: {models[-1]} is not in the table of list prices"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("x", "f"),
        (ROW.replace('"2.5"', "2.5"), "f: price 1.usd_per_device_hour"),
        (ROW.replace('"2.5"', '"much"'), "f: price 1.usd_per_device_hour"),
        (ROW.replace('"2.5"', '"-1"'), "f: price 1.usd_per_device_hour"),
        (ROW.replace('source = "s"', 'source = "t"'), "f: price 1.source"),
        (ROW.replace("as_of", "asof"), "f: price 1"),
        (ROW.replace('as_of = "2026-05"\n', ""), "f: price 1.as_of"),
        (ROW.replace('"P"', '"' + "p" * 201 + '"'), "f: price 1.provider"),
        ("price = 3", "f: price"),
        ("price = [3]", "f: price 1"),
        (ROW + "[tflops]\nH100 = 0\n", "f: tflops.H100"),
        (ROW + "[tflops]\nH100 = true\n", "f: tflops.H100"),
        (ROW + "[tflops]\nH100 = nan\n", "f: tflops.H100"),
        ("tflops = 3", "f"),
        ("#" * 1_000_001, "f"),
    ],
)  # fmt: skip
def test_a_table_that_says_something_else_is_refused_with_its_place(text, field):
    with pytest.raises(InvalidValue) as refused:
        parse(text, source="f")
    assert refused.value.fields["field"] == field
    assert refused.value.hint
