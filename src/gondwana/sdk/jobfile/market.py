"""How a job buys: the keys of `gondwana:` that the market reads."""

from datetime import UTC, datetime

from gondwana.sdk.jobfile.fields import Fields
from gondwana.wire.jobs import (
    LEASE_SECONDS_MAX,
    NOTICE_SECONDS_MAX,
    PRIORITY_MAX,
    WHERE_CHARS_MAX,
    MarketTerms,
    is_notice,
)

MECHANISMS = ("posted", "auction", "spot")


def read_market(fields: Fields, resources: Fields) -> MarketTerms:
    """The terms of a job file's `gondwana:`, and of SkyPilot's `use_spot` under `resources:`."""
    mechanism = fields.text("mechanism", "", hint="write posted, auction or spot")
    if resources.flag("use_spot"):
        if mechanism not in ("", "spot"):
            fields.refuse(
                "mechanism", "does not go with resources.use_spot", "take one of them out"
            )
        mechanism = "spot"
    if mechanism == "spot" and not fields.has("price_cap_usd_per_gpu_hour"):
        fields.refuse(
            "price_cap_usd_per_gpu_hour",
            "is missing: on spot it is the job's bid",
            "write the most that a device-hour is worth to you, e.g. 0.25",
        )
    if mechanism and mechanism not in MECHANISMS:
        fields.refuse("mechanism", "is no mechanism", f"write one of {', '.join(MECHANISMS)}")
    hours = fields.number("lease_hours", 0.0, least=1 / 60, most=LEASE_SECONDS_MAX / 3600)
    return MarketTerms(
        mechanism=mechanism,
        where=fields.text("where", "", hint="write a filter", chars_max=WHERE_CHARS_MAX),
        notice_seconds_min=_notice_seconds(fields, "notice_hours_min"),
        priority=fields.integer("priority", 0, least=0, most=PRIORITY_MAX),
        lease_seconds=round(hours * 3600) or None,
        starts_at=_instant(fields, "starts_at"),
        is_standing=fields.flag("standing"),
    )


def _notice_seconds(fields: Fields, key: str) -> int:
    seconds = 3600 * fields.number(key, 0.0, least=0.0, most=NOTICE_SECONDS_MAX / 3600)
    if not is_notice(seconds):
        fields.refuse(
            key, "is no notice that an owner can promise", "write 0 for none, or from 1 to 720"
        )
    return round(seconds)


def _instant(fields: Fields, key: str) -> float | None:
    value = fields.values.get(key)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            fields.refuse(key, "is not a time", "write e.g. 2026-12-01T08:00Z")
    if not isinstance(value, datetime):
        fields.refuse(key, "is not a time", "write e.g. 2026-12-01T08:00Z")
    at = value if value.tzinfo else value.replace(tzinfo=UTC)  # YAML gives UTC without saying so
    return at.timestamp()
