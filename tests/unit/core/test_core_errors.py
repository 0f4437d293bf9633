import json

import pytest

from gondwana.core import errors
from gondwana.core.errors import GondwanaError, all_errors, from_problem

TREE = all_errors()
EXIT_CODES = {
    "Invalid": 2,
    "Unauthorised": 3,
    "NotFound": 4,
    "Conflict": 5,
    "Exhausted": 6,
    "Unavailable": 7,
    "JobFailed": 1,
}


@pytest.mark.parametrize("error", TREE)
def test_an_error_says_what_is_wrong_in_a_sentence(error):
    text = error.__dict__.get("__doc__") or ""
    first = text.strip().splitlines()[0]
    assert first.endswith(".")
    assert str(error()) == first


@pytest.mark.parametrize("error", TREE)
def test_an_error_is_drawn_in_the_tree_at_the_head_of_the_file(error):
    assert error.__name__ in (errors.__doc__ or "")


def test_every_error_has_a_code_of_its_own():
    codes = [error.code for error in TREE]
    assert len(set(codes)) == len(codes)
    assert all("code" in error.__dict__ for error in TREE)
    assert all(code.replace("_", "").isalpha() and code.islower() for code in codes)


@pytest.mark.parametrize("error", [error for error in TREE if error is not GondwanaError])
def test_the_branch_decides_the_exit_code(error):
    branch = next(base for base in error.__mro__ if GondwanaError in base.__bases__)
    assert error.exit_code == EXIT_CODES[branch.__name__]
    assert 400 <= error.status < 600


@pytest.mark.parametrize("error", TREE)
def test_an_error_survives_the_way_to_the_client(error):
    raised = error("It went wrong.", hint="try this", received=3)
    came = from_problem(json.loads(json.dumps(raised.to_problem())))
    assert type(came) is error
    assert (came.message, came.hint, came.fields) == (
        "It went wrong.",
        "try this",
        {"received": "3"},
    )


def test_an_unknown_code_is_still_an_error_with_its_reason():
    came = from_problem({"code": "from_the_future", "detail": "why"})
    assert type(came) is GondwanaError
    assert str(came) == "why"
    assert str(from_problem({})) == "the server gave no reason"


def test_without_a_message_the_fields_tell_what():
    assert str(errors.NoSuchThing(name="x")) == "Nothing has this name or id: name 'x'."
