"""A job in words."""

from gondwana.cli.output import columns, facts, moment, price, table
from gondwana.cli.plans import prediction_pairs
from gondwana.core.money import format_usd
from gondwana.core.units import format_bytes, format_instant, format_seconds
from gondwana.wire.views import JobView, LeaseView, RoundView, TrainingView

LIST_HEADS = columns("NAME", "ID", "KIND", "STATE", "CREATED", ">PAID", "REASON")
LEASE_HEADS = columns(
    "MACHINE",
    ">RANK",
    "STATE",
    "RUN",
    ">EXIT",
    ">UNITS",
    ">PROVEN S",
    ">$/HOUR",
    ">PAID",
    "ENDS",
    "REASON",
)
ROUND_HEADS = columns(
    ">ROUND", ">LOSS", ">ISLANDS", ">ACCEPTED", ">REJECTED", ">LATE", ">TOKENS", ">SENT", ">TIME"
)
ROUND_WIDTHS = (5, 8, 7, 8, 8, 4, 12, 10, 12)


def list_row(job: JobView) -> list[str]:
    """One job as a line of the list."""
    paid = format_usd(job.paid_micro_usd, decimals=6)
    why = job.reason or reserved_words(job)
    return [job.name, job.id, job.kind, job.state, moment(job.created_at), paid, why]


def show_job(job: JobView) -> str:
    """One job: where it stands, its money, its machines, its rounds, what it left."""
    parts = [
        facts(
            [
                ("job", f"{job.name} ({job.id})"),
                ("state", job.state),
                ("reason", ": ".join(part for part in (job.reason, job.detail) if part)),
                ("waits for", job.waits_for),
                ("reserved", reserved_words(job).removeprefix("reserved ")),
                ("exit code", "" if job.exit_code is None else str(job.exit_code)),
                ("created", moment(job.created_at)),
                ("ended", moment(job.ended_at)),
                ("held", format_usd(job.held_micro_usd, decimals=6)),
                ("paid", format_usd(job.paid_micro_usd, decimals=6)),
                ("credited", _credited(job)),
                ("outputs", ", ".join(sorted(job.outputs))),
                *(prediction_pairs(job.predicted) if job.predicted else ()),
            ]
        )
    ]
    if job.leases:
        parts.append(table(LEASE_HEADS, [_lease_row(lease) for lease in job.leases], empty=""))
    if job.training is not None:
        parts.append(show_training(job.training))
    return "\n\n".join(parts)


def reserved_words(job: JobView) -> str:
    """What is kept for a job: `reserved for 2026-12-01 08:00 UTC on 2 machines: atlas, birch`; or nothing."""
    booked = [each for each in job.reserved if each.state == "booked"]
    if not booked:
        return ""
    names = ", ".join(each.machine for each in booked)
    count = "1 machine" if len(booked) == 1 else f"{len(booked)} machines"
    return f"reserved for {format_instant(booked[0].starts_at)} UTC on {count}: {names}"


def _credited(job: JobView) -> str:
    if not job.credited_micro_usd:
        return ""
    return f"{format_usd(job.credited_micro_usd, decimals=6)} back: machines were away (gondwana account statement)"


def show_training(training: TrainingView) -> str:
    """Where a training stands, and its rounds."""
    ratio = training.bytes_data_parallel / max(1, training.bytes_up + training.bytes_down)
    saved = f", {ratio:,.0f} times less than data-parallel" if ratio > 1 else ""
    head = facts(
        [
            ("training", f"{training.phase}, round {training.round} of {training.rounds}"),
            ("parameters", f"{training.parameters:,}"),
            ("tokens", f"{training.tokens:,}"),
            (
                "sent",
                f"{format_bytes(training.bytes_up)} up, {format_bytes(training.bytes_down)} down{saved}",
            ),
        ]
    )
    rounds = table(
        ROUND_HEADS,
        [round_cells(view) for view in training.history],
        empty="no round has ended yet",
    )
    sample = f"\n\nIt writes:\n{training.sample}" if training.sample else ""
    return f"{head}\n\n{rounds}{sample}"


def round_cells(view: RoundView) -> list[str]:
    """One round as cells of a line."""
    return [
        str(view.round),
        "" if view.heldout_loss is None else f"{view.heldout_loss:.4f}",
        str(view.islands),
        str(view.accepted),
        str(view.rejected),
        str(view.expired),
        f"{view.tokens:,}",
        format_bytes(view.bytes_up + view.bytes_down),
        format_seconds(view.seconds),
    ]


def round_line(cells: list[str]) -> str:
    """The cells at fixed widths: rounds are shown one by one, as they end."""
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, ROUND_WIDTHS, strict=True))


def exit_code_of(job: JobView) -> int:
    """What a command that followed the job ends with: 0 when it succeeded, its own code, or 1."""
    if job.state == "succeeded":
        return 0
    code = job.exit_code or 1
    return code if 0 < code < 256 else 1


def _lease_row(lease: LeaseView) -> list[str]:
    return [
        lease.machine,
        str(lease.rank),
        lease.state,
        lease.run_state,
        "" if lease.exit_code is None else str(lease.exit_code),
        f"{lease.units_accepted}/{lease.units_accepted + lease.units_rejected + lease.units_expired}",
        str(lease.seconds_proven),
        price(lease.price_micro_usd_per_device_hour),
        format_usd(lease.earned_micro_usd, decimals=6),
        moment(lease.reclaim_at or lease.ends_at) if lease.state != "closed" else "",
        lease.reason,
    ]
