"""What came of the demo: for people, and as one JSON object."""

from typing import Any

from gondwana.cli.demo.cast import KILLED, LATE, LIAR, OWNERS
from gondwana.cli.demo.screen import chart_lines
from gondwana.cli.demo.story import Story
from gondwana.cli.output import columns, table
from gondwana.core.money import format_usd
from gondwana.core.units import format_bytes, format_seconds
from gondwana.wire.views import JobView, TrainingView

PROVIDER_CODES = ("2200", "2210", "2400")
"""Lines of the chart of accounts that are owners' money."""
FEE_CODES = ("4000", "3000", "3050", "2500")
"""Lines that are the network's: fees, insurance, verification, tax."""


def as_json(story: Story, seconds: float) -> dict[str, Any]:
    """The figures of the whole demo; the main job's money is what was there before the comparison run."""
    job, training = _finished(story)
    alone = story.one_machine.training if story.one_machine else None
    return {
        "job": {
            "id": job.id,
            "state": job.state,
            "rounds": training.rounds,
            "units_accepted": sum(lease.units_accepted for lease in job.leases),
            "units_rejected": sum(lease.units_rejected for lease in job.leases),
            "units_expired": sum(lease.units_expired for lease in job.leases),
        },
        "machines": [
            {
                "name": machine.name,
                "price_usd_per_hour": machine.price_micro_usd_per_device_hour / 1e6,
                "units_accepted": machine.units_accepted,
                "seconds_proven": machine.seconds_proven,
                "earned_micro_usd": machine.earned_micro_usd,
                "state": machine.state,
            }
            for machine in story.machines
        ],
        "training": {
            "parameters": training.parameters,
            "tokens": training.tokens,
            "loss_initial": training.history[0].heldout_loss,
            "loss_final": training.heldout_loss,
            "loss_one_machine": alone.heldout_loss if alone else None,
            "tokens_one_machine": alone.tokens if alone else None,
            "bytes_up": training.bytes_up,
            "bytes_down": training.bytes_down,
            "bytes_data_parallel": training.bytes_data_parallel,
        },
        "events": {
            "killed": KILLED.machine if story.killed else None,
            "late": LATE.machine if story.late else None,
            "liar": LIAR.machine,
            "liar_units_rejected": _rejected(job, lies=True),
            "honest_units_rejected": _rejected(job, lies=False),
        },
        "money": money(story),
        "artifact": {
            "path": str(story.model),
            "blake3": story.model_blob,
            "sample": training.sample,
        },
        "wall_seconds": round(seconds, 1),
    }


def money(story: Story) -> dict[str, Any]:
    """Who paid and who earned; conserved when every unit of it is somewhere, and the audit found nothing."""
    job, _ = _finished(story)
    books = story.money
    earned = sum(books.get(code, 0) for code in PROVIDER_CODES)
    fees = sum(books.get(code, 0) for code in FEE_CODES)
    exact = job.paid_micro_usd == earned + fees and sum(books.values()) == 0
    return {
        "tenant_paid_micro_usd": job.paid_micro_usd,
        "providers_earned_micro_usd": earned,
        "fees_micro_usd": fees,
        "conserved": bool(exact and story.audit is not None and story.audit.ok),
    }


def as_text(story: Story, seconds: float) -> str:
    """The report that a person reads."""
    job, training = _finished(story)
    alone = story.one_machine.training if story.one_machine else None
    first, last = training.history[0].heldout_loss or 0.0, training.heldout_loss or 0.0
    losses = [done.heldout_loss for done in training.history if done.heldout_loss is not None]
    paid = money(story)
    parts = [
        f"One model, trained on {len(job.leases)} machines of {len(OWNERS)} owners in {format_seconds(seconds)}.",
        "\n".join(
            [
                "held-out loss (nats per byte) before each round, and at the end",
                *chart_lines([*losses, last]),
            ]
        ),
        _comparison(first, last, training, alone),
        table(
            columns(
                "MACHINE",
                "OWNER",
                "STATE",
                ">$/HOUR",
                ">ACCEPTED",
                ">REJECTED",
                ">PROVEN",
                ">EARNED",
                "STORY",
            ),
            [
                [
                    machine.name,
                    machine.owner,
                    machine.state,
                    f"{machine.price_micro_usd_per_device_hour / 1e6:.2f}",
                    str(machine.units_accepted),
                    str(machine.units_rejected),
                    f"{machine.seconds_proven} s",
                    format_usd(machine.earned_micro_usd, decimals=6),
                    _story_of(machine.name),
                ]
                for machine in story.machines
            ],
            empty="no machine joined",
        ),
        f"tenant paid {format_usd(paid['tenant_paid_micro_usd'], decimals=6)} = owners "
        f"{format_usd(paid['providers_earned_micro_usd'], decimals=6)} + network "
        f"{format_usd(paid['fees_micro_usd'], decimals=6)}; "
        + (
            "the books balance to the micro-dollar"
            if paid["conserved"]
            else "THE BOOKS DO NOT BALANCE"
        ),
        f"it writes:\n{_indented(training.sample)}",
        f"the model: {story.model} (safetensors, BLAKE3 {story.model_blob[:16]}…)",
    ]
    return "\n\n".join(parts)


def _comparison(
    first: float, last: float, training: TrainingView, alone: TrainingView | None
) -> str:
    lines = [
        f"from {first:.3f} to {last:.3f} on {training.tokens:,} tokens, {training.parameters:,} parameters"
    ]
    if alone is not None and alone.heldout_loss is not None:
        lines.append(
            f"one machine alone, on its share ({alone.tokens:,} tokens): {alone.heldout_loss:.3f}"
        )
    ratio = training.bytes_data_parallel / max(1, training.bytes_up)
    lines.append(
        f"sent {format_bytes(training.bytes_up)} up and {format_bytes(training.bytes_down)} down; data-parallel would "
        f"send {format_bytes(training.bytes_data_parallel)} up ({ratio:.0f} times more)"
    )
    return "\n".join(lines)


def _story_of(machine: str) -> str:
    stories = {
        KILLED.machine: "killed in the middle of a unit",
        LATE.machine: "joined late",
        LIAR.machine: "delivered −10 × its delta",
    }
    return stories.get(machine, "")


def _rejected(job: JobView, *, lies: bool) -> int:
    liars = {owner.machine for owner in OWNERS if owner.lies}
    return sum(lease.units_rejected for lease in job.leases if (lease.machine in liars) == lies)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _finished(story: Story) -> tuple[JobView, TrainingView]:
    assert story.job is not None, "the story has been played"
    assert story.job.training is not None
    return story.job, story.job.training
