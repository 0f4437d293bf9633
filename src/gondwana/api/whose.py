"""Whose account a request is about."""

from gondwana.core.errors import NoSuchThing, ScopeMissing
from gondwana.db.transaction import Reader
from gondwana.policy import store as policy
from gondwana.policy.model import Caller, Principal, Scope


def whose(reader: Reader, caller: Caller, name: str) -> Principal:
    """The caller, or whom an operator names. Raises ScopeMissing for others', NoSuchThing for nobody."""
    if not name or name == caller.principal.name:
        return caller.principal
    if Scope.OPERATOR not in caller.scopes:
        raise ScopeMissing(
            "only an operator does this for somebody else", hint="leave the name out"
        )
    return named(reader, name)


def named(reader: Reader, name: str) -> Principal:
    """The principal of this name; raises NoSuchThing."""
    found = policy.principal_named(reader, name)
    if found is None:
        raise NoSuchThing(principal=name, hint="gondwana token list")
    return found
