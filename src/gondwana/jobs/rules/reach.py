"""Which of two machines may ask the other, and at which address; pure.

Inside one owner's network it is the address that the machine itself names, as long as both are seen behind the same
address. Between owners, and between networks, it is only an address that the control plane saw: so nobody can make
another's machine knock at a door inside that one's own network.
"""

from dataclasses import dataclass
from ipaddress import ip_address

from gondwana.wire import agent as wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What is known of a machine while it is linked."""

    owner_id: str
    peers: str  # with whom its owner lets it measure: "off", "own" or "all"
    own_address: str  # as it names itself in its network
    seen_address: str  # as the control plane sees it


def address_for(asker: Reached, answerer: Reached) -> str | None:
    """Where the one may ask the other; None where it may not, or cannot."""
    if wire.PEERS_OFF in (asker.peers, answerer.peers):
        return None
    same_owner = asker.owner_id == answerer.owner_id
    if not same_owner and (asker.peers, answerer.peers) != (wire.PEERS_ALL, wire.PEERS_ALL):
        return None
    if same_owner and asker.seen_address == answerer.seen_address:
        return answerer.own_address if _is_inside(answerer) else None
    is_open = answerer.own_address == answerer.seen_address  # no router between it and the network
    return answerer.seen_address if is_open and _is_global(answerer.seen_address) else None


def _is_inside(reached: Reached) -> bool:
    """Whether the address that a machine names can be one of its owner's network."""
    try:
        own, seen = ip_address(reached.own_address), ip_address(reached.seen_address)
    except ValueError:
        return False
    if own.is_loopback or own.is_link_local or own.is_multicast or own.is_unspecified:
        return own == seen  # one host: the control plane is there too
    return own.is_private or own == seen


def _is_global(address: str) -> bool:
    try:
        return ip_address(address).is_global
    except ValueError:
        return False
