"""What a job file asks for is refused by the name that it has there."""

import pytest

from gondwana.core.errors import InvalidValue
from gondwana.jobs import admit
from gondwana.market.filters import TERMS_MAX
from gondwana.wire.jobs import Alternative, MarketTerms, Resources


def refused(spec):
    with pytest.raises(InvalidValue) as caught:
        admit.check(spec)
    assert caught.value.message.startswith(f"{caught.value.fields['field']}: ")
    return caught.value


@pytest.mark.parametrize(("is_ordered", "key"), [(False, "any_of"), (True, "ordered")])
def test_a_filter_of_one_alternative_that_cannot_be_read_is_named_as_that(make, is_ordered, key):
    kinds = tuple(Alternative(where=where) for where in ("price<=1", "region=eu prise<=1"))
    error = refused(make.spec(resources=Resources(alternatives=kinds, is_ordered=is_ordered)))
    assert error.fields["field"] == f"resources.{key}[1].where"
    assert "At character 11" in error.message
    assert error.hint == "did you mean price?"


def test_a_filter_of_the_whole_job_that_cannot_be_read_is_named_as_that(make):
    kinds = (Alternative(where="price<=1"),)
    market = MarketTerms(where="prise<=1")
    error = refused(make.spec(resources=Resources(alternatives=kinds), market=market))
    assert error.fields["field"] == "gondwana.where"


def test_a_filter_of_an_alternative_that_is_too_long_beside_the_jobs_own_is_named(make):
    resources = Resources(alternatives=(Alternative(where="price<=1"),))
    market = MarketTerms(where=" ".join(["price<=1"] * TERMS_MAX))
    error = refused(make.spec(resources=resources, market=market))
    assert error.fields["field"] == "resources.any_of[0].where"
