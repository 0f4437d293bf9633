"""What an operator decides about money: each setting is a frozen dataclass, stored whole, changed field by field."""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from gondwana.core.clock import Instant
from gondwana.core.decoding import convert
from gondwana.core.errors import InvalidValue, NoSuchThing
from gondwana.core.events import Event
from gondwana.core.meant import did_you_mean
from gondwana.db.settings import read_setting, write_setting
from gondwana.db.transaction import Reader, Transaction
from gondwana.ledger.cases import StakeSettings
from gondwana.ledger.model import Shares
from gondwana.ledger.payments import HoldbackSettings, PayoutSettings
from gondwana.ledger.rules.risk import RiskSettings
from gondwana.ledger.solvency import InsuranceSettings
from gondwana.wire.auctions import AuctionSettings
from gondwana.wire.ledger import Seller
from gondwana.wire.spot import SpotSettings

T = TypeVar("T")

SETTINGS: Final[dict[str, Any]] = {
    "shares": Shares(),  # of each payment; a job keeps those it was launched under
    "holdback": HoldbackSettings(),
    "payouts": PayoutSettings(),
    "risk": RiskSettings(),
    "stakes": StakeSettings(),
    "seller": Seller(),  # on invoices; without a name none is issued
    "insurance": InsuranceSettings(),
    "spot": SpotSettings(),
    "auction": AuctionSettings(),
}
"""Name -> its value while nobody changed it. A new one is a line here; it checks itself in `__post_init__`."""
_PLACE: Final = re.compile(r" - at `\$\.?([^`]*)`$")


def setting(reader: Reader, name: str, kind: type[T]) -> T:
    """The setting as it is now."""
    default = SETTINGS[name]
    assert isinstance(default, kind)
    return read_setting(reader, name, kind, default=default)


def settings(reader: Reader) -> dict[str, Any]:
    """All settings as they are now."""
    return {name: setting(reader, name, type(default)) for name, default in SETTINGS.items()}


def change_setting(
    tx: Transaction, now: Instant, name: str, fields: Mapping[str, Any], *, by: str
) -> Any:
    """The setting with these fields changed, from now on; `by` is the principal who changed it.

    Raises NoSuchThing for an unknown setting, InvalidValue naming the field for what may not be.
    """
    if name not in SETTINGS:
        raise NoSuchThing(setting=name[:80], hint=f"one of: {', '.join(SETTINGS)}")
    kind = type(SETTINGS[name])
    old = msgspec.to_builtins(setting(tx, name, kind))
    for field in fields:
        if field not in old:
            raise InvalidValue(field=f"{name}.{field[:80]}", hint=did_you_mean(field, old))
    new = _converted(name, {**old, **fields}, kind)
    if msgspec.to_builtins(new) == old:
        return new
    write_setting(tx, name, new, at=now)
    data = {"old": old, "new": msgspec.to_builtins(new), "by": by}
    tx.emit(Event(at=now, kind="setting.changed", subject=name, data=data))
    return new


def _converted(name: str, fields: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return convert(fields, kind)
    except msgspec.ValidationError as error:
        found = _PLACE.search(str(error))
        field = f"{name}.{found[1]}" if found else name
        raise InvalidValue(
            f"{field}: {_PLACE.sub('', str(error))}.", field=field, hint="gondwana settings show"
        ) from None
