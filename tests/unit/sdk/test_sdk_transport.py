import socket

import pytest

from gondwana.core import errors
from gondwana.sdk import Client
from gondwana.sdk.transport import RETRIES_MAX, RETRIES_UNMET_MAX, RETRY_SECONDS_MAX

ME = {"principal": "pri_1", "name": "ann", "scopes": ["jobs"]}


def test_a_request_carries_the_token_and_comes_back_as_a_value(plane, client):
    plane.reply(ME)
    assert client.me().name == "ann"
    assert plane.requests[0].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("error", errors.all_errors()[1:], ids=lambda error: error.code)
def test_every_error_of_the_server_arrives_as_the_same_class(plane, error):
    client = Client(plane.url, "secret", wait=lambda seconds: None, retries_max=0)
    plane.problem(error.status, error.code, "in words", hint="do this", fields={"who": "me"})
    with pytest.raises(error) as caught:
        client.me()
    assert type(caught.value) is error
    assert (caught.value.message, caught.value.hint) == ("in words", "do this")
    assert caught.value.fields == {"who": "me"}


def test_unavailable_is_tried_again_with_growing_pauses(plane, client):
    for _ in range(4):
        plane.problem(503, "unavailable")
    plane.reply(ME)
    assert client.me().name == "ann"
    assert len(client.pauses) == 4
    assert all(
        0.125 * 2**turn <= pause <= 0.25 * 2**turn for turn, pause in enumerate(client.pauses)
    )


def test_the_server_says_how_long_to_wait(plane, client):
    plane.reply({}, status=503, Retry_After="7")
    plane.reply(ME)
    client.me()
    assert client.pauses == [7.0]


@pytest.mark.parametrize(
    ("status", "code"), [(422, "invalid_value"), (404, "no_such_thing"), (429, "nothing_fits"), (507, "storage_full")]
)  # fmt: skip
def test_what_a_retry_cannot_mend_is_not_retried(plane, client, status, code):
    plane.problem(status, code)
    with pytest.raises(errors.GondwanaError):
        client.me()
    assert len(plane.requests) == 1


def test_a_write_keeps_its_idempotency_key_through_its_retries(plane, client):
    plane.problem(503, "unavailable")
    plane.reply({"principal": "p", "available_micro_usd": 1, "escrow_micro_usd": 0,
                 "holdback_micro_usd": 0, "payable_micro_usd": 0})  # fmt: skip
    client.account.deposit(1)
    plane.problem(422, "invalid_value")
    with pytest.raises(errors.InvalidValue):
        client.account.deposit(1)
    keys = [request.headers["Idempotency-Key"] for request in plane.requests]
    assert keys[0] == keys[1]
    assert keys[1] != keys[2]
    assert len(keys[0]) == 32


def test_nobody_at_the_address_is_told_with_a_hint_after_the_last_try():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        pauses: list[float] = []
        client = Client(f"http://127.0.0.1:{taken.getsockname()[1]}", "t", wait=pauses.append)
        with pytest.raises(errors.ServerUnreachable) as caught:
            client.me()
    assert len(pauses) == RETRIES_UNMET_MAX
    assert "gondwana serve" in str(caught.value.hint)
    assert "refused" in caught.value.message


def test_a_server_that_has_answered_before_is_waited_for_longer(plane, client):
    plane.reply(ME)
    client.me()
    plane.server.shutdown()
    plane.server.server_close()
    client._transport._pool.clear()
    with pytest.raises(errors.ServerUnreachable):
        client.me()
    assert len(client.pauses) == RETRIES_MAX
    assert 8 <= sum(client.pauses) <= 16
    assert max(client.pauses) <= RETRY_SECONDS_MAX


def test_an_answer_of_another_version_is_an_error_that_names_the_field(plane, client):
    plane.reply({"principal": "p", "name": 3, "scopes": []})
    with pytest.raises(errors.InvalidBytes, match=r"\$\.name"):
        client.me()


def test_a_proxy_that_answers_html_is_not_taken_for_the_control_plane(plane, client):
    plane.reply(status=403, body=b"<html>no</html>")
    with pytest.raises(errors.Unauthorised, match="without a reason"):
        client.me()


def test_a_redirect_is_not_followed_with_the_token(plane, client):
    plane.reply({}, status=302, Location=f"{plane.url}/elsewhere")
    with pytest.raises(errors.InvalidBytes, match="redirects"):
        client.me()
    assert len(plane.requests) == 1


def test_a_list_is_fetched_page_by_page_only_as_it_is_read(plane, client):
    line = {"at": 1.0, "account": "a", "event": "deposit", "amount_micro_usd": 1, "balance_micro_usd": 1,
            "words": "w", "transfer": 1}  # fmt: skip
    period = {
        "since": None,
        "until": None,
        "opening_micro_usd": 0,
        "closing_micro_usd": 2,
        "accounts": [],
    }
    plane.reply({"items": [line, line], "cursor": "next one", "period": period})
    lines = client.account.statement()
    assert next(lines).words == "w"
    assert len(plane.requests) == 1
    plane.reply({"items": [line], "cursor": None, "period": period})
    assert len(list(lines)) == 2
    assert "cursor=next+one" in plane.requests[1].path


def test_a_name_with_a_slash_stays_one_part_of_the_path(plane, client):
    plane.problem(404, "no_such_thing")
    with pytest.raises(errors.NoSuchThing):
        client.jobs.get("../v1/tokens?x")
    assert plane.requests[0].path == "/v1/jobs/..%2Fv1%2Ftokens%3Fx"
