"""Compliance tags: what auditors, whom the operator appointed, signed of machines, until it expires or is revoked."""

from collections.abc import Iterable, Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import Exhausted, InvalidValue, NoSuchThing
from gondwana.core.events import Event
from gondwana.core.ids import PrincipalId, new_id
from gondwana.core.random import Random
from gondwana.core.values import grouped
from gondwana.db.many import of_keys
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows
from gondwana.db.together import Asked
from gondwana.db.transaction import Reader, Row, Transaction
from gondwana.supply.model import Machine, SignedTag

SQL: Final = load_queries("gondwana.supply", "tags.sql")
TAGS_OF_MACHINE_MAX: Final = 64  # that nobody revoked: they are read with every look at its offer
SECONDS_MAX: Final = 3 * 366 * 86_400  # whoever signs looks again after so long
EVIDENCE_CHARS_MAX: Final = 500


def sign(
    tx: Transaction, random: Random, now: Instant, machine: Machine, signer_id: PrincipalId, *, name: str,
    expires_at: float, evidence: str = "",
) -> SignedTag:  # fmt: skip
    """The tag, standing from now on; it takes the place of the same signer's tag of this name.

    Raises InvalidValue for the signer's own machine, an end that is past or too far away, or too long an evidence;
    Exhausted for a machine that has enough tags.
    """
    if machine.owner_id == signer_id:
        hint = "somebody else whom the operator appointed has to look at it"
        raise InvalidValue(
            "Nobody signs for his own machine.", field="machine", value=machine.name, hint=hint
        )
    if not now < expires_at <= now + SECONDS_MAX:
        hint = f"a time to come, within {SECONDS_MAX // 86_400} days"
        raise InvalidValue(field="expires", value=expires_at, hint=hint)
    if len(evidence) > EVIDENCE_CHARS_MAX or "\0" in evidence:
        hint = f"at most {EVIDENCE_CHARS_MAX} characters: a hash, or where it is kept"
        raise InvalidValue(field="evidence", value=evidence[:40], hint=hint)
    standing = standing_of(tx, [machine.id]).get(machine.id, [])
    before = [each for each in standing if (each.name, each.signer_id) == (name, signer_id)]
    for each in before:
        tx.execute(SQL.revoke_tag, {"id": each.id, "at": now})
    if not before and len(standing) >= TAGS_OF_MACHINE_MAX:
        raise Exhausted(f"{machine.name} has {len(standing)} tags", hint="gondwana tag revoke TAG")
    made = {
        "id": new_id("tag", now, random), "machine_id": machine.id, "name": name, "signer_id": signer_id,
        "signed_at": now, "expires_at": Instant(expires_at), "revoked_at": None, "evidence": evidence,
    }  # fmt: skip
    tx.execute(SQL.add_tag, made)
    signed = tag(tx, str(made["id"]))
    _emit(tx, now, "tag.signed", signed, machine)
    return signed


def revoke(tx: Transaction, now: Instant, known: SignedTag, machine: Machine) -> SignedTag:
    """The tag, which stands no more: what runs goes on, and nothing new that asks for it comes. Twice is as once."""
    if known.revoked_at is None:
        tx.execute(SQL.revoke_tag, {"id": known.id, "at": now})
        _emit(tx, now, "tag.revoked", known, machine)
    return tag(tx, known.id)


def tag(reader: Reader, id: str) -> SignedTag:
    """One tag; raises NoSuchThing."""
    row = reader.one(SQL.tag_by_id, {"id": id})
    if row is None:
        raise NoSuchThing(tag=id, hint="gondwana tag list")
    return _tag(row)


def tags(
    reader: Reader, machine_id: str | None = None, *, after: str = "", limit: int
) -> list[SignedTag]:
    """Tags of a machine or of all, revoked and expired ones too, oldest first."""
    asked = {"machine_id": machine_id, "after": after, "limit": limit}
    return [_tag(row) for row in reader.all(SQL.tags, asked)]


def standing_of(reader: Reader, machine_ids: Sequence[str]) -> dict[str, list[SignedTag]]:
    """What nobody revoked of these machines, by machine; it may have expired."""
    return standing_of_asked(machine_ids).of(reader)


def standing_of_asked(machine_ids: Sequence[str]) -> Asked[dict[str, list[SignedTag]]]:
    """The same, not asked yet."""
    return of_keys(dict, SQL.tags_of, machine_ids).then(_by_machine)


def standing_between(reader: Reader, first: str, last: str) -> dict[str, list[SignedTag]]:
    """The same of all machines from one id to another."""
    return _by_machine(reader.all(SQL.tags_between, {"first": first, "last": last}))


def machine_called(reader: Reader, name_or_id: str) -> Machine:
    """Anybody's machine; raises NoSuchThing, and InvalidValue where several are called so."""
    found = from_rows(Machine, reader.all(SQL.machines_called, {"name": name_or_id, "limit": 2}))
    if not found:
        raise NoSuchThing(machine=name_or_id, hint="gondwana offers names those that sell")
    if len(found) > 1:
        hint = f"say which by its id, such as {found[0].id}"
        raise InvalidValue(
            "Several machines are called so.", field="machine", value=name_or_id, hint=hint
        )
    return found[0]


def _by_machine(rows: Iterable[Row]) -> dict[str, list[SignedTag]]:
    return grouped(map(_tag, rows), lambda each: str(each.machine_id))


def _tag(row: Row) -> SignedTag:
    return from_row(SignedTag, row)


def _emit(tx: Transaction, now: Instant, kind: str, of: SignedTag, machine: Machine) -> None:
    told = {"machine": machine.name, "machine_id": machine.id, "tag": of.name, "signer": of.signer}
    tx.emit(Event(at=now, kind=kind, subject=of.id, data={**told, "expires_at": of.expires_at}))
