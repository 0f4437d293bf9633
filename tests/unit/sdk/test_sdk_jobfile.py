from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gondwana.core.errors import (
    GondwanaError,
    Invalid,
    InvalidJobFile,
    InvalidValue,
    TooLarge,
    UnknownKey,
    UnsupportedKey,
)
from gondwana.core.units import GIB
from gondwana.sdk.jobfile import parse_job, read_job_file
from gondwana.sdk.jobfile.keys import SKYPILOT, TABLES
from gondwana.wire.jobs import Accelerators


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "recipe.py").write_text("")
    (tmp_path / "data.txt").write_text("text")
    (tmp_path / "code").mkdir()
    return tmp_path


@pytest.fixture
def parse(folder):
    def parse(text: str):
        path = folder / "my job.yaml"
        path.write_text(text)
        return read_job_file(path)

    return parse


def refusal(parse, text, kind):
    with pytest.raises(kind) as caught:
        parse(text)
    assert type(caught.value) is kind
    return f"{caught.value.message} | {caught.value.hint}"


DISTRIBUTED = """
name: minGPT-ddp
resources:
    cpus: 4+
    accelerators: L4
num_nodes: 2
workdir: .
envs: {LOGLEVEL: INFO, LR: 0.1, PORT: 8008}
setup: |
    pip install -r requirements.txt
run: |
    MASTER_ADDR=$(echo "$SKYPILOT_NODE_IPS" | head -n1)
    torchrun --nnodes=$SKYPILOT_NUM_NODES --node_rank=${SKYPILOT_NODE_RANK} main.py || exit 1
file_mounts:
    ~/data: ./code
"""


def test_a_skypilot_task_file_is_taken_unchanged(parse, folder):
    draft = parse(DISTRIBUTED)
    spec = draft.spec
    assert (spec.name, spec.num_nodes, spec.resources.cpus_min) == ("minGPT-ddp", 2, 4.0)
    assert spec.resources.accelerators == (Accelerators(name="L4", count=1),)
    assert spec.envs == {"LOGLEVEL": "INFO", "LR": "0.1", "PORT": "8008"}
    assert spec.run.endswith("|| exit 1\n")
    assert draft.workdir == folder
    assert draft.file_mounts == {"~/data": folder / "code"}
    assert (spec.budget_micro_usd, spec.train) == (None, None)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("H100", [("H100", 1)]),
        ("H100:8", [("H100", 8)]),
        ("'RTX_4090: 2'", [("RTX4090", 2)]),
        ("{H100: 8}", [("H100", 8)]),
        ("{A100:1, L4:2}", [("A100", 1), ("L4", 2)]),
        ("{A100: 1, L4: 2}", [("A100", 1), ("L4", 2)]),
        ("[A100:4, 'NVIDIA GeForce RTX 4090']", [("A100", 4), ("RTX4090", 1)]),
        ("\n    - A100: 4\n    - H100", [("A100", 4), ("H100", 1)]),
        ("!!set {A100, H100:2}", [("A100", 1), ("H100", 2)]),
        ("{A100: '8'}", [("A100", 8)]),
        ("SomethingNew:2", [("SomethingNew", 2)]),
    ],
)
def test_accelerators_are_read_in_every_spelling(parse, written, expected):
    spec = parse(f"run: x\nresources:\n  accelerators: {written}\n").spec
    found = {(wanted.name, wanted.count) for wanted in spec.resources.accelerators}
    assert found == set(expected)


@pytest.mark.parametrize(
    "written",
    ["H100:0", "H100:-1", "H100:x", "H100:0.5", "7", "''", "'H100:'", "{H100: true}", "[[H100]]", "H100:65", "{1: 2}"],
)  # fmt: skip
def test_what_is_no_accelerator_says_how_to_write_one(parse, written):
    text = refusal(parse, f"run: x\nresources: {{accelerators: {written}}}\n", InvalidValue)
    assert text.startswith("resources.accelerators")
    assert "H100:8" in text or "ask for 1 to 64" in text


def test_accelerators_by_memory_are_named_as_not_supported_yet(parse):
    for written in ("80GB", "80GB+", "nvidia:80GB+:2"):
        assert "not supported yet" in refusal(
            parse, f"run: x\nresources: {{accelerators: '{written}'}}", UnsupportedKey
        )


def test_any_of_and_ordered_are_alternatives(parse):
    spec = parse(
        "run: x\nresources:\n  cpus: 2\n  any_of:\n    - accelerators: H100:8\n    - accelerators: {A100: 8}\n"
    ).spec
    assert [wanted.name for wanted in spec.resources.accelerators] == ["H100", "A100"]
    assert spec.resources.alternatives == ()


def test_a_list_of_accelerators_is_in_order_of_preference_and_a_map_is_not(parse):
    def read(accelerators, more=""):
        return parse(f"run: x\nresources: {{accelerators: {accelerators}{more}}}\n").spec.resources

    listed = read("[H100:8, A100:8]")
    assert listed.is_ordered
    assert [each.accelerators[0].name for each in listed.alternatives] == ["H100", "A100"]
    assert read("{H100:8, A100:8}").alternatives == read("[H100:8]").alternatives == ()


def test_on_spot_a_list_of_accelerators_has_no_order(parse):
    spec = parse(
        "run: x\nresources: {accelerators: [H100, A100], use_spot: true}\n"
        "gondwana: {price_cap_usd_per_gpu_hour: 1}\n"
    ).spec
    assert not spec.resources.is_ordered
    assert spec.resources.alternatives == ()


def test_alternatives_may_differ_in_more_than_the_accelerator_and_stand_in_an_order(parse):
    spec = parse(
        "run: x\nresources:\n  cpus: 8\n  memory: 16\n  ordered:\n    - {accelerators: H100, region: eu-*}\n"
        "    - {accelerators: A100:2, cpus: 4, where: price<=1}\n"
    ).spec
    first, second = spec.resources.alternatives
    assert spec.resources.is_ordered
    assert (first.where, first.cpus_min, first.memory_bytes_min) == ("region=eu-*", 8, 16 * GIB)
    assert (second.where, second.cpus_min, second.accelerators[0].count) == ("price<=1", 4, 2)
    assert [each.name for each in spec.resources.accelerators] == ["H100", "A100"]
    assert spec.resources.cpus_min == 4


@pytest.mark.parametrize(
    ("written", "error", "told"),
    [
        ("ordered: [{accelerators: A100, disk_size: 8}]", UnknownKey, "resources.ordered[0].disk_size"),
        ("ordered: [{accelerators: A100, cpus: many}]", InvalidValue, "resources.ordered[0].cpus"),
        ("any_of: [{region: 'a b'}]", InvalidValue, "resources.any_of[0].region"),
        ("any_of: [{accelerators: A100}], ordered: [{accelerators: A100}]", InvalidValue, "any_of"),
    ],
)  # fmt: skip
def test_what_an_alternative_cannot_say_is_refused_with_its_place(parse, written, error, told):
    assert told in refusal(parse, f"run: x\nresources: {{{written}}}", error)


@pytest.mark.parametrize(
    ("written", "cpus", "memory"),
    [("cpus: 4, memory: 16", 4.0, 16 * GIB), ("cpus: 4+, memory: 16+", 4.0, 16 * GIB),
     ("cpus: '0.5', memory: 512MB", 0.5, GIB // 2), ("memory: 1.5", 0.0, 3 * GIB // 2)],
)  # fmt: skip
def test_cpus_and_memory_are_least_amounts(parse, written, cpus, memory):
    resources = parse(f"run: x\nresources: {{{written}}}").spec.resources
    assert (resources.cpus_min, resources.memory_bytes_min) == (cpus, memory)


@pytest.mark.parametrize(
    "written",
    [
        "cpus: four",
        "cpus: -1",
        "cpus: 4x",
        "cpus: true",
        "memory: lots",
        "memory: 2x",
        "memory: [1]",
    ],
)
def test_amounts_that_mean_nothing_are_refused_with_an_example(parse, written):
    text = refusal(parse, f"run: x\nresources: {{{written}}}", InvalidValue)
    assert text.startswith(f"resources.{written.split(':')[0]}")
    assert " | write " in text


TRAIN = """
name: shakespeare
gondwana:
  budget_usd: 2.50
  price_cap_usd_per_gpu_hour: "0.40"
  max_duration: 2h
  train:
    recipe: recipe.py
    data: data.txt
    config: {width: 128, layers: [1, 2], name: small}
    rounds: 12
    islands: {min: 2, max: 4}
    gates: {cosine_min: -0.1}
"""


def test_a_training_is_read_with_its_money_and_its_data(parse, folder):
    draft = parse(TRAIN)
    spec = draft.spec
    assert (spec.budget_micro_usd, spec.price_cap_micro_usd_per_device_hour) == (2_500_000, 400_000)
    assert spec.seconds_max == 7200
    assert spec.train is not None
    assert (spec.train.recipe, spec.train.rounds, spec.train.islands_min) == ("recipe.py", 12, 2)
    assert spec.train.config == {"width": 128, "layers": [1, 2], "name": "small"}
    assert spec.train.gates.cosine_min == -0.1
    assert draft.data is not None
    assert (draft.data.path, draft.workdir) == (folder / "data.txt", folder)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("recipe: recipe.py|recipe: missing.py", "no file"),
        ("recipe: recipe.py|recipe: ../x.py", "below workdir"),
        ("recipe: recipe.py|seed: 1", "gondwana.train.recipe is missing"),
        ("data: data.txt|seed: 1", "gondwana.train.data is missing"),
        ("data: data.txt|data: other.txt", "is not there"),
        ("rounds: 12|rounds: 0", "gondwana.train.rounds: 0 is not a whole number"),
        ("rounds: 12|rounds: 1.5", "whole number from 1"),
        ("rounds: 12|rounds: true", "gondwana.train.rounds: True"),
        ("min: 2, max: 4|min: 5, max: 4", "is less than gondwana.train.islands.min"),
        ("islands: {min: 2, max: 4}|islands: 4", "gondwana.train.islands: 4 is not a map"),
        ("width: 128|width: 2026-01-01", 'with quotes: "2026-01-01"'),
        ("width: 128|width: .nan", "finite"),
        ("cosine_min: -0.1|cosine_min: 2", "from -1 to 1"),
        ("budget_usd: 2.50|budget_usd: much", "gondwana.budget_usd"),
        ("budget_usd: 2.50|budget_usd: .nan", "gondwana.budget_usd"),
        ("budget_usd: 2.50|budget_usd: -1", "gondwana.budget_usd"),
        ("max_duration: 2h|max_duration: soon", "gondwana.max_duration"),
        ("max_duration: 2h|max_duration: 0", "1s to 30d"),
        ("rounds: 12|codec: int2", "int4, int8, fp32"),
    ],
)
def test_a_wrong_value_in_a_training_is_named_by_its_path(parse, change, expected):
    old, new = change.split("|")
    assert old in TRAIN
    assert expected in refusal(parse, TRAIN.replace(old, new), InvalidValue)


def test_a_job_either_runs_or_trains(parse):
    assert "neither run nor" in refusal(parse, "name: x", InvalidValue)
    assert "do not go together" in refusal(parse, TRAIN + "\nrun: echo", InvalidValue)
    assert "islands" in refusal(parse, TRAIN + "\nnum_nodes: 2", InvalidValue)


@pytest.mark.parametrize(
    ("place", "key"), [(place, key) for place, keys in SKYPILOT.items() for key in sorted(keys)]
)
def test_a_key_of_skypilot_that_we_lack_is_told_as_such(parse, place, key):
    text = f"run: x\n{place}:\n  {key}: 1\n" if place else f"run: x\n{key}: 1\n"
    path = f"{place}.{key}" if place else key
    assert refusal(parse, text, UnsupportedKey).startswith(f"{path} exists in SkyPilot")


@pytest.mark.parametrize("place", list(TABLES))
def test_a_misspelt_key_is_answered_with_the_right_one(place):
    key = next(iter(TABLES[place]))
    values: dict = {key + "z": 1}
    for part in reversed(place.split(".") if place else []):
        values = {part: values}
    values.setdefault("run", "x")
    if place == "resources.any_of":
        values["resources"]["any_of"] = [values["resources"]["any_of"]]
    if "train" in place:
        values["gondwana"]["train"] |= {"recipe": "recipe.py", "data": "x"}
        del values["run"]
    with pytest.raises(UnknownKey) as caught:
        parse_job(
            values, folder=Path(__file__).parent, default_name="x"
        ) if "train." not in place else _in_train(values)
    wanted = f"{place}.{key}" if place else key
    wanted = wanted.replace("any_of.", "any_of[0].")
    assert caught.value.hint == f"did you mean {wanted}?"


def _in_train(values):
    folder = Path(__file__).parent
    values["gondwana"]["train"]["recipe"] = Path(__file__).name
    parse_job(values, folder=folder, default_name="x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("# only a comment", "is empty"),
        ("- a\n- b", "not a mapping"),
        ("just words", "not a mapping"),
        ("a: b: c", "line 1"),
        ("run: [", "not YAML"),
        ("run: x\n---\nrun: y", "2 YAML documents"),
        ("run: x\nrun: y", "'run' is written twice"),
        ("? [a]\n: b", "a key is one word"),
        ("run: !!python/object/apply:os.system [ls]", "not YAML"),
        ("a: &a [*a]", "holds itself"),
        ("run: " + "[" * 3000, "too deep"),
        ("run: x\nenvs: {D: 2026-13-45}", "not YAML"),
    ],
)
def test_what_is_no_job_file_is_refused_in_words(parse, text, expected):
    assert expected in refusal(parse, text, InvalidJobFile)


def test_an_alias_bomb_is_refused_before_it_grows(parse):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "aliases" in refusal(parse, "\n".join(lines), InvalidJobFile)


def test_a_merge_bomb_is_refused_before_it_grows(parse):
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10)]
    assert "aliases" in refusal(parse, "\n".join(lines), InvalidJobFile)


def test_ordinary_anchors_are_welcome(parse):
    assert parse("setup: &s echo\nrun: *s").spec.run == "echo"


def test_bytes_that_are_no_text_and_files_too_large_are_refused(folder):
    path = folder / "job.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidJobFile, match="UTF-8"):
        read_job_file(path)
    path.write_bytes(b"#" * 2_000_000)
    with pytest.raises(TooLarge):
        read_job_file(path)
    with pytest.raises(InvalidJobFile, match="no file"):
        read_job_file(folder / "nothing.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run: 3", "run: 3 is not text"),
        ("run: x\nnum_nodes: two", "num_nodes: 'two'"),
        ("run: x\nnum_nodes: 65", "from 1 to 64"),
        ("run: x\nenvs: [A]", "envs: ['A'] is not a map"),
        ("run: x\nenvs: {A: on}", 'envs.A: True is not text | write it with quotes: "true"'),
        ("run: x\nenvs: {TOKEN: }", "envs.TOKEN: None has no value"),
        ("run: x\nenvs: {1A: x}", "not a variable's name"),
        ("run: x\nname: -x-", "name: '-x-'"),
        ("run: x\nworkdir: nothing", "is not a folder here"),
        ("run: x\nfile_mounts: {/data: nothing}", "file_mounts./data: 'nothing' is not there"),
        ("run: x\nfile_mounts: {../data: code}", "not a place for files"),
        ('run: "a\\0b"', "zero byte"),
    ],
)
def test_a_wrong_value_names_its_key_and_what_to_write(parse, text, expected):
    assert expected in refusal(parse, text, InvalidValue)


def test_buckets_and_repositories_are_named_as_not_supported_yet(parse):
    refusal(parse, "run: x\nfile_mounts: {/data: s3://bucket/x}", UnsupportedKey)
    refusal(parse, "run: x\nfile_mounts: {/data: {name: b, mode: MOUNT}}", UnsupportedKey)
    refusal(parse, "run: x\nworkdir: {url: https://x, ref: main}", UnsupportedKey)


def test_a_job_without_a_name_is_called_after_its_file(parse):
    assert parse("run: x").spec.name == "my-job"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=6), children, max_size=3),
    max_leaves=8,
)  # fmt: skip
KEYS = st.sampled_from(sorted({key for table in TABLES.values() for key in table}))


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(KEYS, VALUES | st.dictionaries(KEYS, VALUES | st.dictionaries(KEYS, VALUES)))
)
def test_no_mapping_makes_the_parser_fall_over(values):
    told: Invalid | None = None
    try:
        parse_job(values, folder=Path("/nonexistent"), default_name="x")
    except Invalid as error:
        told = error
    assert told is None or (told.message and told.hint)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=200) | st.text(alphabet="[]{}:-&*!|>'\"#ab\n ", max_size=60).map(str.encode)
)
def test_no_bytes_make_the_reader_fall_over(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(data)
    told: GondwanaError | None = None
    try:
        read_job_file(path)
    except GondwanaError as error:
        told = error
    assert told is None or told.message


def test_the_reader_agrees_with_yaml_on_an_ordinary_file(parse):
    assert yaml.safe_load(DISTRIBUTED)["run"] == parse(DISTRIBUTED).spec.run
