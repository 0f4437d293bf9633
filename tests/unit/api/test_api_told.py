"""Bodies are read to the letter: what nobody reads is refused, "1" and true are no numbers."""

import dataclasses
import json
import re

import pytest
import urllib3

from gondwana.api.told import read
from gondwana.core.errors import InvalidValue, UnknownKey
from gondwana.wire.calendar import Discount
from gondwana.wire.jobs import JobSpec, Train
from gondwana.wire.pricing import PolicyKind, PricePolicy
from gondwana.wire.views import TermsRequest

JOB = {"name": "hello", "run": "true"}
CAP = "price_cap_micro_usd_per_device_hour"
POLICY = {
    "kind": "fixed",
    "floor_micro_usd_per_device_hour": 1,
    "ceiling_micro_usd_per_device_hour": 2,
}


def send(served, method, path, body, kind="application/json"):
    """The status of the answer, and what it says."""
    answer = urllib3.request(
        method,
        served.url + path,
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {served.token}",
            "Content-Type": kind,
            "Idempotency-Key": "k",
        },
        retries=False,
    )
    return answer.status, answer.json()


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/plans"])
@pytest.mark.parametrize(
    ("added", "field", "hint"),
    [
        ({"price_cap_usd_per_gpu_hour": 0.1}, "price_cap_usd_per_gpu_hour", f"did you mean {CAP}?"),
        ({"market": {"wher": "price<=0.1"}}, "market.wher", "did you mean market.where?"),
        ({"resources": {"accelerators": [{"name": "T4"}, {"name": "T4", "cont": 2}]}},
         "resources.accelerators[1].cont", "did you mean resources.accelerators[1].count?"),
        ({"market": {"zzz": 1}}, "market.zzz", "one of: mechanism, where, "),
    ],
)  # fmt: skip
def test_a_field_that_nobody_reads_is_refused_with_its_path_and_the_nearest_that_is_read(
    served, path, added, field, hint
):
    status, told = send(served, "POST", path, JOB | added)
    assert (status, told["code"], told["fields"]["field"]) == (422, "unknown_key", field)
    assert told["hint"].startswith(hint)
    assert told["detail"] == f"There is no field {field}."
    assert list(served.client.jobs.list()) == []


@pytest.mark.parametrize(
    ("added", "field", "value"),
    [
        ({CAP: True}, CAP, "true"),
        ({CAP: "1"}, CAP, '"1"'),
        ({CAP: 1.5}, CAP, "1.5"),
        ({CAP: 1.0}, CAP, "1.0"),
        ({"num_nodes": None}, "num_nodes", "null"),
        ({"seconds_max": True}, "seconds_max", "true"),
        ({"seconds_max": "60"}, "seconds_max", '"60"'),
        ({"seconds_max": float("nan")}, "seconds_max", "NaN"),
        ({"seconds_max": 10**400}, "seconds_max", "1" + "0" * 58 + "…"),
        ({"is_elastic": 1}, "is_elastic", "1"),
        ({"run": 1}, "run", "1"),
        ({"name": "\ud800"}, "name", '"\\ud800"'),
        ({"envs": {"A": "1", "B": 2}}, "envs.B", "2"),
        ({"market": []}, "market", "[]"),
        ({"resources": {"accelerators": {"T4": 1}}}, "resources.accelerators", '{"T4": 1}'),
        (
            {"resources": {"accelerators": [{"name": "T4", "count": True}]}},
            "resources.accelerators[0].count",
            "true",
        ),
    ],
)
def test_a_value_of_another_kind_is_refused_with_its_path_and_as_it_was_written(
    served, added, field, value
):
    status, told = send(served, "POST", "/v1/jobs", JOB | added)
    assert (status, told["code"]) == (422, "invalid_value")
    assert told["fields"] == {"field": field, "value": value}
    assert told["detail"].startswith(f"{field}: {value} is ")
    assert told["hint"]


def test_a_whole_number_may_stand_where_a_fraction_may_and_null_where_nothing_may():
    spec = read(
        JOB | {"seconds_max": 60, CAP: None, "train": None, "market": {"starts_at": 5}}, JobSpec
    )
    assert (spec.seconds_max, type(spec.seconds_max)) == (60.0, float)
    assert (spec.price_cap_micro_usd_per_device_hour, spec.train) == (None, None)
    assert spec.market.starts_at == 5.0


def test_what_is_inside_is_read_as_deep_as_it_goes():
    policy = POLICY | {
        "windows": [
            {"days": [0, 6], "from_minute": 0, "to_minute": 60, "price_micro_usd_per_device_hour": 1}
        ]
    }  # fmt: skip
    assert read(policy, PricePolicy).windows[0].days == (0, 6)
    assert read(policy, PricePolicy).kind is PolicyKind.FIXED
    assert read({"discounts": [{"seconds": 1, "basis_points": 2}]}, TermsRequest).discounts == (
        Discount(seconds=1, basis_points=2),
    )


def test_a_recipes_own_config_may_hold_anything():
    config = {"width": 1, "deep": {"er": [True, None, "x", 1.5]}}
    told = {"recipe": "recipe.py", "config": config}
    assert read(JOB | {"train": told}, JobSpec).train == Train(recipe="recipe.py", config=config)


def test_a_word_that_is_none_of_a_few_is_told_the_nearest():
    with pytest.raises(InvalidValue) as refused:
        read(POLICY | {"kind": "fixd"}, PricePolicy)
    assert refused.value.fields == {"field": "kind", "value": '"fixd"'}
    assert refused.value.hint == "did you mean fixed?"


def test_what_has_to_be_said_is_asked_for_by_name(served):
    status, told = send(served, "POST", "/v1/jobs", {"run": "true"})
    assert (status, told["fields"]["field"], told["detail"]) == (422, "name", "name is missing.")


@pytest.mark.parametrize("body", [[], "hello", 1, True])
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(InvalidValue, match=r"^the body: .* is not an object"):
        read(body, JobSpec)


def test_a_body_that_is_not_said_to_be_json_is_told_which_header_says_so(served):
    status, told = send(served, "POST", "/v1/jobs", JOB, "application/x-www-form-urlencoded")
    assert (status, told["fields"]) == (422, {"field": "Content-Type"})
    assert told["hint"] == "send the header Content-Type: application/json"


def test_a_name_that_is_half_a_character_or_endless_is_told_as_far_as_it_can_be():
    for name, shown in (("a\ud800", r"a\ud800"), ("x" * 1_000_000, "x" * 80)):
        with pytest.raises(UnknownKey) as refused:
            read(JOB | {name: "y" * 1_000_000}, JobSpec)
        assert refused.value.fields["field"] == shown
        assert len(refused.value.fields["value"]) == 60


def test_who_sends_what_is_not_read_without_a_token_is_asked_for_the_token_first(served):
    served.token = "nobody's"
    assert send(served, "POST", "/v1/jobs", JOB | {"foo": 1})[0] == 401


def test_every_call_that_reads_a_body_refuses_a_field_that_it_does_not_read(served):
    paths = urllib3.request("GET", f"{served.url}/openapi.json").json()["paths"]
    calls = [
        (method.upper(), re.sub(r"{\w+}", "spot" if path.startswith("/v1/settings") else "x", path))
        for path, methods in paths.items()
        for method, call in methods.items()
        if "requestBody" in call
    ]  # fmt: skip
    assert len(calls) > 40
    for method, path in calls:
        status, told = send(served, method, path, {"no_such_field": 1})
        assert status == 422, (method, path)
        assert "no_such_field" in told["fields"].get("field", ""), (method, path, told)


def test_a_call_that_reads_no_body_refuses_one_that_says_something(served):
    status, told = send(served, "POST", "/v1/jobs/x/cancel", {"reason": "too dear"})
    assert (status, told["fields"]) == (422, {"field": "body"})
    for nothing in (b"", b"{}", b"null"):
        assert send(served, "POST", "/v1/jobs/x/cancel", nothing)[1]["code"] == "no_such_thing"


def test_what_the_client_sends_whole_is_read_back_as_it_was():
    spec = JobSpec(name="hello", train=Train(recipe="recipe.py"))
    assert read(json.loads(json.dumps(dataclasses.asdict(spec))), JobSpec) == spec


@pytest.mark.parametrize(
    ("path", "field", "hint"),
    [
        ("/v1/machines?limt=1", "limt", "did you mean limit?"),
        ("/v1/jobs?state=ended", "state", "one of: cursor, limit"),
        ("/v1/jobs?limit=1&%00=1", "\x00", "one of: cursor, limit"),
        ("/v1/budgets?limit=1&verbose=1", "verbose", "one of: principal"),
        ("/healthz?deep=1", "deep", "/healthz has none"),
    ],
)
def test_a_query_parameter_that_nobody_reads_is_refused_with_the_nearest_that_is_read(
    served, path, field, hint
):
    status, told = send(served, "GET", path, {})
    assert (status, told["code"], told["fields"]["field"]) == (422, "unknown_key", field)
    assert (told["detail"], told["hint"]) == (f"There is no query parameter {field}.", hint)
