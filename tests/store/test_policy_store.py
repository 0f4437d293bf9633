import hashlib

import pytest

from gondwana.core.errors import InvalidToken, InvalidValue, NoSuchThing
from gondwana.policy import store
from gondwana.policy.model import Scope


@pytest.fixture
def stored_world(database, make_world):
    return make_world(database)


def create(world, name="ann", *scopes):
    return world.write(
        store.create_token, world.random, world.now, name=name, scopes=scopes or (Scope.TENANT,)
    )


def test_a_token_names_its_holder_and_what_it_may_do(stored_world):
    _, secret = create(stored_world, "ann", Scope.TENANT, Scope.PROVIDER)
    caller = store.caller_of(stored_world.reader, secret)
    assert (caller.principal.name, caller.scopes) == ("ann", (Scope.TENANT, Scope.PROVIDER))


def test_the_secret_is_nowhere_in_the_database(file_database, make_world, tmp_path):
    token, secret = create(make_world(file_database))
    assert token.hash == hashlib.sha256(secret.encode()).hexdigest()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("gondwana.db*"))
    assert token.hash.encode() in kept
    assert secret.encode() not in kept
    assert secret.removeprefix("gwt_").encode() not in kept


def test_two_tokens_of_one_name_are_one_principal(stored_world):
    first, _ = create(stored_world, "ann")
    second, _ = create(stored_world, "ann", Scope.PROVIDER)
    assert first.principal_id == second.principal_id
    assert store.principal_named(stored_world.reader, "ann").id == first.principal_id
    assert store.principal_named(stored_world.reader, "bob") is None


def test_a_revoked_token_never_works_again_and_the_others_do(stored_world):
    token, secret = create(stored_world)
    _, other = create(stored_world)
    for _ in range(2):
        stored_world.write(store.revoke_token, stored_world.now, token.id)
    with pytest.raises(InvalidToken):
        store.caller_of(stored_world.reader, secret)
    store.caller_of(stored_world.reader, other)
    assert stored_world.kinds(token.id) == ["token.created", "token.revoked"]


@pytest.mark.parametrize("wrong", ["", "gwt_", "gwt_" + "0" * 64])
def test_an_unknown_token_is_refused(stored_world, wrong):
    with pytest.raises(InvalidToken):
        store.caller_of(stored_world.reader, wrong)


def test_what_does_not_exist_is_not_found(stored_world):
    with pytest.raises(NoSuchThing):
        store.principal(stored_world.reader, "pri_none")
    with pytest.raises(NoSuchThing):
        stored_world.write(store.revoke_token, stored_world.now, "tok_none")


def test_a_name_that_is_none_makes_neither_principal_nor_token(stored_world):
    before = len(store.tokens(stored_world.reader))
    with pytest.raises(InvalidValue):
        create(stored_world, "Not A Name")
    assert len(store.tokens(stored_world.reader)) == before


def test_tokens_are_listed_in_the_order_they_were_made(stored_world):
    made = []
    for _ in range(3):
        stored_world.clock.advance(1.0)
        made.append(create(stored_world)[0])
    assert store.tokens(stored_world.reader)[-3:] == made
