"""How a job buys, as its file says."""

import pytest

from gondwana.core.errors import InvalidValue
from gondwana.sdk.jobfile import parse_job
from gondwana.sdk.jobfile.reader import read_yaml
from gondwana.wire.jobs import MarketTerms


def terms(text, tmp_path):
    values = read_yaml(f"run: echo\ngondwana: {{{text}}}\n".encode(), source="job.yaml")
    return parse_job(values, folder=tmp_path, default_name="job").spec.market


def test_a_job_that_says_nothing_asks_for_nothing(tmp_path):
    assert terms("budget_usd: 1", tmp_path) == MarketTerms()


def test_all_terms_are_read_in_the_units_they_name(tmp_path):
    text = (
        "mechanism: auction, where: region = eu, notice_hours_min: 24, priority: 7, lease_hours: 1.5, "
        "starts_at: 2026-12-01T08:00Z, standing: true"
    )
    assert terms(text, tmp_path) == MarketTerms(
        mechanism="auction", where="region = eu", notice_seconds_min=86_400, priority=7, lease_seconds=5_400,
        starts_at=1_796_112_000.0, is_standing=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "start", ["2026-12-01 08:00:00", "2026-12-01T08:00:00Z", '"2026-12-01T09:00+01:00"']
)
def test_a_start_is_the_same_instant_however_it_is_written(start, tmp_path):
    assert terms(f"starts_at: {start}", tmp_path).starts_at == 1_796_112_000.0


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("mechanism: barter", "gondwana.mechanism"),
        ("notice_hours_min: 721", "gondwana.notice_hours_min"),
        ("priority: 101", "gondwana.priority"),
        ("lease_hours: 0", "gondwana.lease_hours"),
        ("starts_at: soon", "gondwana.starts_at"),
        ("starts_at: 2026-12-01", "gondwana.starts_at"),
        ("standing: maybe", "gondwana.standing"),
    ],
)
def test_a_wrong_term_is_refused_by_its_name(text, field, tmp_path):
    with pytest.raises(InvalidValue) as refused:
        terms(text, tmp_path)
    assert refused.value.fields["field"] == field


@pytest.mark.parametrize("hours", ["0.5", "0.0001", "0.999"])
def test_a_notice_of_less_than_an_hour_is_refused_with_what_to_write(hours, tmp_path):
    with pytest.raises(InvalidValue) as refused:
        terms(f"notice_hours_min: {hours}", tmp_path)
    assert refused.value.message.startswith(f"gondwana.notice_hours_min: {hours} ")
    assert refused.value.fields == {"field": "gondwana.notice_hours_min", "value": hours}
    assert refused.value.hint == "write 0 for none, or from 1 to 720"


@pytest.mark.parametrize(("hours", "seconds"), [("0", 0), ("1", 3_600), ("720", 2_592_000)])
def test_no_notice_or_one_of_an_hour_to_thirty_days_may_be_asked_for(hours, seconds, tmp_path):
    assert terms(f"notice_hours_min: {hours}", tmp_path).notice_seconds_min == seconds


def spot(text, tmp_path):
    values = read_yaml(f"run: echo\n{text}".encode(), source="job.yaml")
    return parse_job(values, folder=tmp_path, default_name="job").spec


def test_use_spot_of_skypilot_means_the_mechanism_spot(tmp_path):
    cap = "gondwana: {price_cap_usd_per_gpu_hour: 0.25}"
    said = spot(f"resources: {{use_spot: true}}\n{cap}", tmp_path)
    assert said.market == MarketTerms(mechanism="spot")
    assert said.price_cap_micro_usd_per_device_hour == 250_000
    assert spot(f"resources: {{use_spot: false}}\n{cap}", tmp_path).market == MarketTerms()


@pytest.mark.parametrize("text", ["gondwana: {mechanism: spot}", "resources: {use_spot: true}"])
def test_a_spot_job_needs_a_cap_since_that_is_its_bid(text, tmp_path):
    with pytest.raises(InvalidValue) as refused:
        spot(text, tmp_path)
    assert refused.value.fields["field"] == "gondwana.price_cap_usd_per_gpu_hour"


def test_two_mechanisms_are_one_too_many(tmp_path):
    both = (
        "resources: {use_spot: true}\ngondwana: {mechanism: posted, price_cap_usd_per_gpu_hour: 1}"
    )
    with pytest.raises(InvalidValue) as refused:
        spot(both, tmp_path)
    assert refused.value.fields["field"] == "gondwana.mechanism"
