"""The client: one attribute per noun of the API."""

from collections.abc import Callable
from typing import Any

import msgspec

from gondwana.core.random import Random
from gondwana.sdk.account import Account
from gondwana.sdk.auctions import Auctions, Bids
from gondwana.sdk.blobs import Blobs
from gondwana.sdk.budgets import Budgets
from gondwana.sdk.config import load_settings
from gondwana.sdk.invoices import Invoices
from gondwana.sdk.jobs import Jobs, Plans
from gondwana.sdk.ledger import Ledger
from gondwana.sdk.machines import Machines
from gondwana.sdk.offers import Offers, Prices
from gondwana.sdk.pages import PageOf
from gondwana.sdk.payouts import Deposits, Payouts
from gondwana.sdk.quotas import Quotas
from gondwana.sdk.service import Service
from gondwana.sdk.stakes import Cases, Stakes
from gondwana.sdk.subsidies import Subsidies
from gondwana.sdk.tags import Tags
from gondwana.sdk.tokens import Tokens
from gondwana.sdk.transport import RETRIES_MAX, Transport
from gondwana.sdk.treasury import NetworkSettings, Treasury
from gondwana.wire.views import EventView


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the token stands for."""

    principal: str
    name: str
    scopes: tuple[str, ...]


class Client:
    """A control plane as seen with one token; may be shared between threads.

    Without arguments: the address and token of GONDWANA_URL, GONDWANA_TOKEN, or the saved login.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        random: Random | None = None,
        wait: Callable[[float], Any] | None = None,
        retries_max: int = RETRIES_MAX,
    ) -> None:
        settings = load_settings(url=url, token=token)
        self.url = settings.url
        transport = Transport(
            settings.url, settings.token, random=random, wait=wait, retries_max=retries_max
        )
        self._transport = transport
        self.jobs = Jobs(transport)
        self.plans = Plans(transport)
        self.offers = Offers(transport)
        self.prices = Prices(transport)
        self.machines = Machines(transport)
        self.auctions = Auctions(transport)
        self.bids = Bids(transport)
        self.account = Account(transport)
        self.budgets = Budgets(transport)
        self.quotas = Quotas(transport)
        self.invoices = Invoices(transport)
        self.ledger = Ledger(transport)
        self.payouts = Payouts(transport)
        self.deposits = Deposits(transport)
        self.treasury = Treasury(transport)
        self.settings = NetworkSettings(transport)
        self.service = Service(transport)
        self.stakes = Stakes(transport)
        self.cases = Cases(transport)
        self.subsidies = Subsidies(transport)
        self.tags = Tags(transport)
        self.tokens = Tokens(transport)
        self.blobs = Blobs(transport)

    def me(self) -> Me:
        """Whom the token stands for, and what it may do; raises MissingToken or InvalidToken."""
        return self._transport.get("/v1/me").decode(Me)

    def healthy(self) -> bool:
        """True when the control plane is up; raises ServerUnreachable when nothing answers."""
        return self._transport.get("/healthz").status == 200

    def events(self, *, after: int = 0, wait_seconds: float = 0.0) -> tuple[EventView, ...]:
        """What happened on the whole network after event `after`; waits up to `wait_seconds`, at most 30 (operator)."""
        answer = self._transport.get(
            "/v1/events", poll_seconds=wait_seconds, after=after, wait=wait_seconds
        )
        return answer.decode(PageOf[EventView]).items
