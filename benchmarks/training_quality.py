"""What island training costs in loss and saves in bytes, against tuned data parallel at equal tokens.

    python benchmarks/training_quality.py [TEXT] [--json] [--quick]

A tiny byte GPT (131,072 parameters) is first trained by data parallel for 600 steps; then every row does 300 more
steps from there: as data parallel over all tokens, or as 8 islands through the product's own inner loop, codecs,
gates and outer step. Where islands are lost or lie, the run goes on until the same tokens were merged. TEXT is a
file or a folder of .py files; by default the standard library. Losses are nats per byte on 256 fixed windows of
files that nobody trained on.
"""

import argparse
import json
import os
import platform
import random
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from gondwana.core.dataset import shard_bytes
from gondwana.core.values import replace
from gondwana.training import inner
from gondwana.training.codecs import (
    Codec,
    State,
    Upload,
    decode_state,
    decode_upload,
    encode_upload,
    upload_bytes,
)
from gondwana.training.gates import Candidate, History, judge
from gondwana.training.inner import Steps, Trained
from gondwana.training.manifest import Float32Array, Layout, draw_shards
from gondwana.training.optim import layout_of
from gondwana.training.outer import Delta, OuterSettings, merge, start, step
from gondwana.training.recipe import OptimizerKind, Recipe, load_recipe
from gondwana.training.schedule import lr_sum

RECIPE = Path(__file__).parents[1] / "examples" / "byte_gpt.py"
MODEL = {"width": 64, "layers": 2, "time": 64}
ISLANDS = 8
ISLAND_BATCH = 3
SHARDS_PER_UNIT = 4
TEXT_BYTES_MAX = 12_000_000
HELDOUT_WINDOWS = 256
LEARNING_RATES = (
    3e-3,
    6e-3,
    1.2e-2,
    2.4e-2,
)  # the best lies inside; data parallel tries one more
WARM_LEARNING_RATE = 1.2e-2  # the best for AdamW from random parameters


@dataclass(frozen=True, kw_only=True)
class Lab:
    """The text, and where all runs start."""

    shards: dict[str, bytes]
    heldout: np.ndarray
    params: Float32Array
    layout: Layout
    steps: int

    def data(self, names) -> np.ndarray:
        return np.frombuffer(b"".join(self.shards[name] for name in names), np.uint8)


@dataclass(frozen=True, kw_only=True)
class Islands:
    """One way to train over islands."""

    kind: OptimizerKind = OptimizerKind.MUON
    lr: float = 3e-3
    inner_steps: int = 20
    islands: int = ISLANDS
    settings: OuterSettings = field(default_factory=OuterSettings)
    state: str = "published"  # or private, reset
    liars: int = 0  # they send −10 × what they found
    lost: int = 0  # islands lost in each round
    seed: int = 0


@dataclass
class Outcome:
    """Loss, and what the gates did."""

    loss: float
    honest_rejected: int = 0
    liars_accepted: int = 0


def recipe_for(kind: OptimizerKind, lr: float, batch: int) -> Recipe:
    recipe = load_recipe(RECIPE, {**MODEL, "batch": batch})
    return replace(recipe, optimizer=replace(recipe.optimizer, kind=kind, lr=lr))


def layout_for(recipe: Recipe) -> Layout:
    return layout_of(inner.build(recipe, 0), recipe.optimizer)


def read_text(path: Path) -> tuple[bytes, bytes]:
    """(training, held-out): whole files are held out, one of twenty."""
    if path.is_file():
        data = path.read_bytes()[:TEXT_BYTES_MAX]
        cut = len(data) * 19 // 20
        return data[:cut], data[cut:]
    files = [
        file
        for file in sorted(path.rglob("*.py"))
        if not {"test", "tests", "site-packages", "dist-packages"} & set(file.parts)
    ]
    random.Random(0).shuffle(files)
    texts = [file.read_bytes() for file in files]
    heldout = b"\n".join(texts[::20])
    train = b"\n".join(text for index, text in enumerate(texts) if index % 20)
    return train[:TEXT_BYTES_MAX], heldout[: TEXT_BYTES_MAX // 20]


def make_lab(path: Path, *, steps: int, warm_steps: int) -> Lab:
    train, heldout = read_text(path)
    shards = {f"{index:04}": shard for index, shard in enumerate(shard_bytes(train))}
    recipe = recipe_for(OptimizerKind.ADAMW, WARM_LEARNING_RATE, ISLANDS * ISLAND_BATCH)
    params, layout = inner.initial(recipe, 0)
    lab = Lab(
        shards=shards,
        heldout=np.frombuffer(heldout, np.uint8),
        params=params,
        layout=layout,
        steps=steps,
    )
    return replace(lab, params=params - parallel(lab, recipe, warm_steps).upload.delta)


def heldout_loss(lab: Lab, params: Float32Array, layout: Layout, recipe: Recipe) -> float:
    model = inner.load(recipe, params, layout)
    wide = replace(
        recipe, config=replace(recipe.config, batch=HELDOUT_WINDOWS // inner.EVALUATION_BATCHES)
    )
    return inner.mean_loss(wide, model, lab.heldout, seed=1)


def parallel(lab: Lab, recipe: Recipe, steps: int) -> Trained:
    """Data parallel over the whole text: one process computes what the islands would together."""
    layout = layout_for(recipe)
    return inner.train(
        recipe,
        lab.params,
        layout,
        state=None,
        data=lab.data(lab.shards),
        steps=Steps(count=steps, first=0, total=steps, seed=1),
    )


def data_parallel(
    lab: Lab, kind: OptimizerKind, lr: float, batch: int = ISLANDS * ISLAND_BATCH
) -> float:
    recipe = recipe_for(kind, lr, batch)
    delta = parallel(lab, recipe, lab.steps).upload.delta
    layout = layout_for(recipe)
    return heldout_loss(lab, lab.params - delta, layout, recipe)


def train_islands(lab: Lab, way: Islands) -> Outcome:
    """Rounds of units, uploads, gates, merge and outer step, all as bytes the way the product sends them."""
    recipe = recipe_for(way.kind, way.lr, ISLAND_BATCH)
    layout = layout_for(recipe)
    outer, published = start(lab.params), None
    private: dict[int, State] = {}
    outcome = Outcome(loss=0.0)
    chance = random.Random(way.seed)
    for number in range(lab.steps // way.inner_steps):
        lost = set(chance.sample(range(way.islands), way.lost))
        deltas = []
        for island in sorted(set(range(way.islands)) - lost):
            state = private.get(island) if way.state == "private" else published
            delta = train_unit(lab, way, recipe, outer.params, state, number, island)
            private[island] = State(momentum=delta.upload.momentum, second=delta.upload.second)
            deltas.append(delta)
        accepted = pass_gates(deltas, outer.history, way, outcome)
        stepped = step(outer, merge(accepted), layout, way.settings)
        outer = stepped.state
        if way.state == "published" and stepped.published is not None:
            published = decode_state(stepped.published, layout)
    outcome.loss = heldout_loss(lab, outer.params, layout, recipe)
    return outcome


def train_unit(
    lab: Lab,
    way: Islands,
    recipe: Recipe,
    params: Float32Array,
    state: State | None,
    number: int,
    island: int,
) -> Delta:
    """One island's delta of round `number`, after it has travelled."""
    layout = layout_for(recipe)
    first = number * way.inner_steps
    shards = draw_shards(
        sorted(lab.shards), seed=way.seed, round_number=number, slot=island, count=SHARDS_PER_UNIT
    )
    steps = Steps(
        count=way.inner_steps,
        first=first,
        total=lab.steps,
        seed=1000 * way.seed + 100 * number + island,
    )
    trained = inner.train(recipe, params, layout, state=state, data=lab.data(shards), steps=steps)
    sent = as_sent(trained.upload, lie=island < way.liars)
    upload = decode_upload(encode_upload(sent, layout, Codec.INT4), layout, Codec.INT4)
    travelled = lr_sum(
        step_first=first,
        inner_steps=way.inner_steps,
        steps_total=lab.steps,
        has_state=state is not None,
    )
    return Delta(unit_id=f"{island:02}", upload=upload, tokens=trained.tokens, lr_sum=travelled)


def as_sent(upload: Upload, *, lie: bool) -> Upload:
    return replace(upload, delta=upload.delta * np.float32(-10)) if lie else upload


def pass_gates(
    deltas: list[Delta], history: History, way: Islands, outcome: Outcome
) -> list[Delta]:
    candidates = [
        Candidate(unit_id=delta.unit_id, delta=delta.upload.delta, lr_sum=delta.lr_sum)
        for delta in deltas
    ]
    verdicts = judge(candidates, history)
    for verdict in verdicts:
        liar = int(verdict.unit_id) < way.liars
        outcome.honest_rejected += not verdict.accepted and not liar
        outcome.liars_accepted += verdict.accepted and liar
    return [delta for delta, verdict in zip(deltas, verdicts, strict=True) if verdict.accepted]


class Table:
    """Measured rows, printed as they come."""

    def __init__(self) -> None:
        self.losses: dict[str, float] = {}
        self.rates: dict[str, float] = {}
        self.honest_rejected = 0
        self.liars_accepted = 0

    def add(self, name: str, loss: float, rate: float, note: str = "") -> None:
        self.losses[name], self.rates[name] = loss, rate
        print(f"{name:24} {loss:8.4f}   lr {rate:g} {note}", flush=True)

    def add_parallel(
        self, name: str, lab: Lab, kind: OptimizerKind, rates, batch: int = ISLANDS * ISLAND_BATCH
    ) -> None:
        measured = {rate: data_parallel(lab, kind, rate, batch) for rate in rates}
        best = min(measured, key=measured.__getitem__)
        self.add(name, measured[best], best, tried(measured))

    def add_islands(self, name: str, lab: Lab, way: Islands, rates) -> None:
        outcomes = {rate: train_islands(lab, replace(way, lr=rate)) for rate in rates}
        for outcome in outcomes.values():
            self.honest_rejected += outcome.honest_rejected
            self.liars_accepted += outcome.liars_accepted
        losses = {rate: outcome.loss for rate, outcome in outcomes.items()}
        best = min(losses, key=losses.__getitem__)
        self.add(name, losses[best], best, tried(losses))


def tried(losses: dict[float, float]) -> str:
    if len(losses) == 1:
        return ""
    return "of " + ", ".join(f"{rate:g}: {loss:.4f}" for rate, loss in losses.items())


def measure(lab: Lab, rates: tuple[float, ...]) -> Table:
    table = Table()
    adamw, muon = OptimizerKind.ADAMW, OptimizerKind.MUON
    wider = (*rates, 2 * rates[-1])
    table.add_parallel("data_parallel_adamw", lab, adamw, wider)
    table.add_parallel("data_parallel_muon", lab, muon, wider)
    table.add_parallel("one_island", lab, muon, rates, ISLAND_BATCH)
    table.add_islands("islands_adamw", lab, Islands(kind=adamw), rates)
    table.add_islands("islands_muon", lab, Islands(kind=muon), rates)
    best = (table.rates["islands_muon"],)
    table.add_islands("islands_muon_h50", lab, Islands(inner_steps=50), rates)
    table.add_islands("islands_private", lab, Islands(state="private"), best)
    table.add_islands("islands_reset", lab, Islands(state="reset"), best)
    # What is lost or turned away trains nobody: at equal tokens those runs go on for as many rounds longer, as a job
    # does that gives the work out again. The same number of rounds, on fewer tokens, stands beside.
    table.add_islands("dropped_25", longer(lab, 6), Islands(lost=2), best)
    table.add_islands("one_liar", longer(lab, 7), Islands(liars=1), best)
    table.add_islands("two_liars", longer(lab, 6), Islands(liars=2), best)
    table.add_islands("dropped_25_same_rounds", lab, Islands(lost=2), best)
    table.add_islands("one_liar_same_rounds", lab, Islands(liars=1), best)
    table.add_islands("islands_seven", lab, Islands(islands=7), best)
    table.add_islands("islands_six", lab, Islands(islands=6), best)
    return table


def longer(lab: Lab, working: int) -> Lab:
    """The lab with as many whole rounds as `working` of the islands need for the tokens of all of them."""
    inner_steps = Islands().inner_steps
    return replace(lab, steps=lab.steps * ISLANDS // working // inner_steps * inner_steps)


def bytes_ratio(layout: Layout, inner_steps: int) -> float:
    """What data parallel sends as fp32 gradients over what an island uploads, with all that belongs to it."""
    return 4 * layout.size * inner_steps / upload_bytes(layout, Codec.INT4)


def claims(table: Table, layout: Layout) -> list[tuple[str, float, str, float]]:
    """(claim, measured, relation, limit); losses as relative differences."""
    loss = table.losses
    islands = loss["islands_muon"]

    def over(value: float, base: float) -> float:
        return value / base - 1

    return [
        (
            "islands over tuned AdamW data parallel",
            over(islands, loss["data_parallel_adamw"]),
            "<=",
            0.010,
        ),
        (
            "islands over tuned Muon data parallel",
            over(islands, loss["data_parallel_muon"]),
            "<=",
            0.042,
        ),
        ("published over private state", over(islands, loss["islands_private"]), "<=", 0.0),
        ("reset over published state", over(loss["islands_reset"], islands), ">=", 0.01),
        (
            "a quarter of the islands lost each round",
            over(loss["dropped_25"], islands),
            "<=",
            0.006,
        ),
        ("one liar of eight", over(loss["one_liar"], islands), "<=", 0.003),
        ("honest deltas rejected", table.honest_rejected, "<=", 0),
        ("lies accepted", table.liars_accepted, "<=", 0),
        ("fewer bytes, H=20", bytes_ratio(layout, 20), ">=", 75),
        ("fewer bytes, H=50", bytes_ratio(layout, 50), ">=", 190),
    ]


def report(table: Table, layout: Layout, seconds: float) -> dict[str, object]:
    print()
    held: dict[str, bool] = {}
    for name, value, relation, limit in claims(table, layout):
        held[name] = value <= limit if relation == "<=" else value >= limit
        shown = f"{value:+.2%}" if isinstance(value, float) and abs(value) < 1 else f"{value:.1f}"
        bound = f"{limit:+.2%}" if isinstance(limit, float) else f"{limit}"
        print(
            f"{name:44} {shown:>8} {relation} {bound:7} {'holds' if held[name] else 'DOES NOT HOLD'}"
        )
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, 1 thread"
    for name, base in (
        ("dropped_25_same_rounds", "islands_six"),
        ("one_liar_same_rounds", "islands_seven"),
    ):
        value = table.losses[name]
        told = [
            f"{value / table.losses[other] - 1:+.2%} over {other}"
            for other in ("islands_muon", base)
        ]
        print(f"{name:44} {', '.join(told)}")
    print(f"\n{layout.size} parameters, {machine}, {seconds:.0f} s")
    return {
        **table.losses,
        "learning_rates": table.rates,
        "honest_rejected": table.honest_rejected,
        "lies_accepted": table.liars_accepted,
        "bytes_ratio_h20": bytes_ratio(layout, 20),
        "bytes_ratio_h50": bytes_ratio(layout, 50),
        "upload_bytes": upload_bytes(layout, Codec.INT4),
        "parameters": layout.size,
        "holds": held,
        "machine": machine,
        "seconds": round(seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", nargs="?", type=Path, default=Path(sysconfig.get_paths()["stdlib"]))
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument(
        "--quick", action="store_true", help="few steps, one rate: shows that it runs"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    steps, warm_steps, rates = (100, 60, (6e-3,)) if options.quick else (300, 600, LEARNING_RATES)
    lab = make_lab(options.text, steps=steps, warm_steps=warm_steps)
    recipe = recipe_for(OptimizerKind.ADAMW, 0.0, ISLAND_BATCH)
    loss = heldout_loss(lab, lab.params, lab.layout, recipe)
    print(f"{'start':24} {loss:8.4f}   after {warm_steps} steps of data parallel")
    table = measure(lab, rates)
    layout = layout_for(recipe_for(OptimizerKind.MUON, 0.0, ISLAND_BATCH))
    result = report(table, layout, time.monotonic() - started)
    if options.quick:
        print("Quick: far too few steps for the losses to mean anything.")
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
