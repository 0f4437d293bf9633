import asyncio

from gondwana.api.bodies import BODY_BYTES_MAX, BodyLimit


def post(pieces):
    """What a caller who sends these pieces is answered, and what the app behind the limit has read."""
    coming, sent, read = list(pieces), [], []

    async def receive():
        return {"type": "http.request", "body": coming.pop(0), "more_body": bool(coming)}

    async def send(message):
        sent.append(message)

    async def app(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            read.append(len(message["body"]))
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})

    asyncio.run(BodyLimit(app)({"type": "http"}, receive, send))
    return sent, sum(read)


def test_a_body_up_to_the_limit_reaches_the_app():
    sent, read = post([b"x" * (BODY_BYTES_MAX - 1), b"x"])
    assert [message.get("status") for message in sent] == [200]
    assert read == BODY_BYTES_MAX


def test_a_larger_one_is_answered_413_once_and_read_no_further():
    sent, read = post([b"x" * BODY_BYTES_MAX, b"x", b"never read"])
    assert [message.get("status") for message in sent] == [413, None]
    assert b'"too_large"' in sent[1]["body"]
    assert read == BODY_BYTES_MAX
