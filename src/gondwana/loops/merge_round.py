"""The coordinator's arithmetic of a round: decode, judge, merge, publish. Reads and writes blobs, no transaction."""

from collections.abc import Sequence
from statistics import median
from typing import Final

import numpy as np

from gondwana.blobs.base import BlobStore
from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidBytes
from gondwana.core.values import replace
from gondwana.jobs import rounds
from gondwana.jobs.context import Context
from gondwana.jobs.model import Training, Unit
from gondwana.jobs.rounds import Judged, Published
from gondwana.jobs.rules import rounds as rules
from gondwana.training import codecs, gates, manifest, outer, schedule
from gondwana.wire.jobs import Train
from gondwana.wire.units import ParamsRef

CHANGES_MAX: Final = 10  # int8 changes between two checkpoints: what a late joiner fetches at most
LAYOUT_BYTES_MAX: Final = 16 * 1024 * 1024
PARAMETER_MAX: Final = 1e4  # no sane first parameter is larger


def begin(context: Context, training: Training, train: Train, unit: Unit, now: Instant) -> bool:
    """Check the first parameters and publish them; refuse them and let another machine make them otherwise."""
    writer = context.database.writer
    try:
        params, layout = manifest.decode_checkpoint(context.blobs.read(unit.output or ""))
        if not np.isfinite(params).all() or float(np.abs(params).max()) > PARAMETER_MAX:
            raise InvalidBytes("the first parameters are not finite, or far too large")
    except InvalidBytes as error:
        writer.call(rounds.reject_unit, now, unit, f"malformed: {error.message}")
        return True
    state = outer.start(params)
    published = Published(
        outer=context.blobs.put(outer.encode_outer_state(state)),
        params=ParamsRef(
            hash=state.hash,
            checkpoint=context.blobs.put(manifest.encode_checkpoint(params, layout)),
        ),
        state=None,
    )
    layout_name = context.blobs.put(layout.to_json().encode())
    writer.call(
        rounds.begin_rounds, now, training, unit, train,
        layout=layout_name, parameters=layout.size, published=published,
    )  # fmt: skip
    return True


def upload_bytes(context: Context, training: Training, codec: str) -> int:
    """The exact size of what a unit of this round delivers."""
    return codecs.upload_bytes(_layout(context.blobs, training), codecs.Codec(codec))


def judge(
    context: Context, training: Training, train: Train, delivered: Sequence[Unit]
) -> list[Judged]:
    """What the numbers say of the round's deltas."""
    uploads, malformed = _decode(context.blobs, training, delivered)
    state = _state(context.blobs, training)
    settings = gates.GateSettings(
        norm_min=train.gates.norm_min,
        norm_max=train.gates.norm_max,
        cosine_min=train.gates.cosine_min,
    )
    asking = [unit for unit in delivered if unit.id in uploads]
    candidates = [
        gates.Candidate(unit_id=unit.id, delta=uploads[unit.id].delta, lr_sum=_lr_sum(unit))
        for unit in asking
    ]
    verdicts = gates.judge(candidates, state.history, settings, seed=rules.data_seed(state.hash))
    return malformed + [
        Judged(
            unit=unit,
            accepted=verdict.accepted,
            verdict=verdict.reason,
            norm=verdict.norm,
            cosine=verdict.cosine,
            needs_evaluation=verdict.needs_evaluation,
        )
        for unit, verdict in zip(asking, verdicts, strict=True)
    ]


def merge(
    context: Context, training: Training, train: Train, accepted: Sequence[Unit]
) -> tuple[Published | None, int]:
    """(what the round publishes, tokens it trained on); (None, 0) where nothing was accepted: parameters stay.

    A delta weighs by the steps it was asked for, not by what its island says it did.
    """
    if not accepted or training.params is None:
        return None, 0
    blobs, layout = context.blobs, _layout(context.blobs, training)
    uploads, _ = _decode(blobs, training, accepted)
    per_step = median(
        unit.result.tokens / max(1, unit.result.steps) for unit in accepted if unit.result
    )
    deltas = [
        outer.Delta(
            unit_id=unit.id,
            upload=uploads[unit.id],
            tokens=max(1, round(unit.spec.inner_steps * per_step)),
            lr_sum=_lr_sum(unit),
        )
        for unit in accepted
    ]
    merged = outer.merge(deltas)
    warm = rules.is_warm(train, training.round)
    stepped = outer.step(_state(blobs, training), merged, layout, _settings(train, warm=warm))
    state = stepped.state
    if warm and not rules.is_warm(train, training.round + 1):
        # One island's steps say nothing of where many will go: the outer step starts afresh.
        state = replace(state, momentum=np.zeros_like(state.momentum), last_delta=None, norms=())
    changes = (*training.params.changes, blobs.put(stepped.change))
    checkpoint = training.params.checkpoint
    if len(changes) > CHANGES_MAX:
        checkpoint, changes = blobs.put(manifest.encode_checkpoint(state.params, layout)), ()
    published = Published(
        outer=blobs.put(outer.encode_outer_state(state)),
        params=ParamsRef(hash=state.hash, checkpoint=checkpoint, changes=changes),
        state=blobs.put(stepped.published) if stepped.published is not None else None,
    )
    return published, merged.tokens


def artifact(context: Context, training: Training) -> str | None:
    """The blob of the model as it stands, as safetensors; None before there is one."""
    if training.outer is None:
        return None
    params = _state(context.blobs, training).params
    return context.blobs.put(manifest.encode_checkpoint(params, _layout(context.blobs, training)))


def _settings(train: Train, *, warm: bool) -> outer.OuterSettings:
    """Alone, an island's steps are taken as they are; together, as the benchmark found best."""
    if warm:
        return outer.OuterSettings(learning_rate=1.0, momentum=0.0)
    cold = 0 if train.warm_rounds else max(1, train.rounds // 4)
    return outer.OuterSettings(cold_rounds=cold)


def _lr_sum(unit: Unit) -> float:
    spec = unit.spec
    return schedule.lr_sum(
        step_first=spec.step_first,
        inner_steps=spec.inner_steps,
        steps_total=spec.steps_total,
        has_state=spec.state is not None,
    )


def _decode(
    blobs: BlobStore, training: Training, units: Sequence[Unit]
) -> tuple[dict[str, codecs.Upload], list[Judged]]:
    layout = _layout(blobs, training)
    uploads: dict[str, codecs.Upload] = {}
    malformed: list[Judged] = []
    for unit in units:
        codec = codecs.Codec(unit.spec.codec)
        try:
            if unit.output is None or unit.output_bytes != codecs.upload_bytes(layout, codec):
                raise InvalidBytes(
                    f"{unit.output_bytes} bytes instead of {codecs.upload_bytes(layout, codec)}"
                )
            uploads[unit.id] = codecs.decode_upload(blobs.read(unit.output), layout, codec)
        except InvalidBytes as error:
            verdict = f"{gates.Reason.MALFORMED}: {error.message}"
            malformed.append(Judged(unit=unit, accepted=False, verdict=verdict))
    return uploads, malformed


def _layout(blobs: BlobStore, training: Training) -> manifest.Layout:
    return manifest.Layout.from_json(blobs.read(training.layout).decode())


def _state(blobs: BlobStore, training: Training) -> outer.OuterState:
    assert training.outer is not None, "the first parameters exist"
    return outer.decode_outer_state(blobs.read(training.outer))
