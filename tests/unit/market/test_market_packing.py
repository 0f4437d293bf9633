"""Fractions of machines: never more than there is, the same with and without numba, and little lost."""

import importlib.util
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gondwana.core.errors import InvalidValue, TooLarge
from gondwana.market import packing
from gondwana.market.packing import Node, Packer, Placement, Policy, Request

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("GONDWANA_DATA") or ROOT.parent / "shared" / "data") / "openb"
DETERMINED = [policy for policy in Policy if policy is not Policy.RANDOM]
MODELS = ["A100", "T4", "L4"]

needs_numba = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="numba is not installed: nothing to compare the twin with"
)  # fmt: skip
needs_trace = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the trace is not at {DATA}: set GONDWANA_DATA to the folder that holds openb/"
)  # fmt: skip

models = st.frozensets(st.sampled_from([*MODELS, "unheard of"]), max_size=2)
cpus = st.sampled_from([500, 2_000, 4_000, 8_000])
memories = st.sampled_from([0, 1_024, 8_192])
shares = st.sampled_from([100, 190, 320, 470, 530, 810, 999])
requests = st.one_of(
    st.builds(Request, cpu_milli=cpus, memory_mib=memories, models=models),
    st.builds(Request, cpu_milli=cpus, memory_mib=memories, num_gpu=st.just(1), gpu_milli=shares, models=models),
    st.builds(Request, cpu_milli=cpus, memory_mib=memories, num_gpu=st.integers(1, 4), gpu_milli=st.just(1_000),
              models=models),
)  # fmt: skip
idle = st.sampled_from([0, 190, 530, 1_000, 1_000, 1_000])
nodes = st.builds(Node, cpu_milli=st.sampled_from([2_000, 16_000, 32_000]), memory_mib=st.sampled_from([4_096, 65_536]),
                  idle_milli=st.lists(idle, max_size=5).map(tuple), model=st.sampled_from(MODELS))  # fmt: skip
fleets = st.lists(nodes, min_size=1, max_size=8)
arrivals = st.lists(requests, max_size=40)


def node(*idle_milli, cpu=64_000, memory=65_536, model="A100"):
    return Node(cpu_milli=cpu, memory_mib=memory, idle_milli=idle_milli, model=model)


def share(milli, *, cpu=1_000, **changes):
    return Request(cpu_milli=cpu, num_gpu=1, gpu_milli=milli, **changes)


def whole(count=1, *, cpu=1_000, **changes):
    return Request(cpu_milli=cpu, num_gpu=count, gpu_milli=1_000, **changes)


def packer(fleet, usual=(), *, policy=Policy.GONDWANA, **changes):
    chance = np.random.default_rng(1) if policy is Policy.RANDOM else None
    return Packer(fleet, usual, policy=policy, **{"compiled": False, "chance": chance, **changes})


def left_after(fleet, asked, placed):
    """What must be idle on each node after these placements, reckoned the plain way; each placement is checked."""
    cpu, memory = [each.cpu_milli for each in fleet], [each.memory_mib for each in fleet]
    gpus = [list(each.idle_milli) for each in fleet]
    for request, placement in zip(asked, placed, strict=True):
        if placement is None:
            continue
        row = placement.node
        assert len(set(placement.gpus)) == len(placement.gpus) == request.num_gpu
        assert not request.models or fleet[row].model in request.models
        cpu[row] -= request.cpu_milli
        memory[row] -= request.memory_mib
        for gpu in placement.gpus:
            gpus[row][gpu] -= request.gpu_milli
        assert min(cpu[row], memory[row], *gpus[row], 0) == 0
    return [node(*each[0], cpu=each[1], memory=each[2], model=was.model)
            for each, was in zip(zip(gpus, cpu, memory, strict=True), fleet, strict=True)]  # fmt: skip


def fits(request, on):
    return (
        on.cpu_milli >= request.cpu_milli and on.memory_mib >= request.memory_mib
        and (not request.models or on.model in request.models)
        and sum(idle >= request.gpu_milli for idle in on.idle_milli) >= request.num_gpu
    )  # fmt: skip


@pytest.mark.parametrize("policy", list(Policy))
@settings(max_examples=25, deadline=None)
@given(fleet=fleets, asked=arrivals)
def test_no_node_gives_more_than_it_has(policy, fleet, asked):
    packed = packer(fleet, asked, policy=policy)
    placed = packed.place_all(asked)
    left = left_after(fleet, asked, placed)
    assert [packed.node(row) for row in range(len(fleet))] == left
    assert packed.idle_milli == sum(sum(each.idle_milli) for each in left)


@pytest.mark.parametrize("policy", list(Policy))
@settings(max_examples=25, deadline=None)
@given(fleet=fleets, asked=arrivals)
def test_what_fits_somewhere_is_never_refused(policy, fleet, asked):
    packed = packer(fleet, asked, policy=policy)
    for request in asked:
        could = any(fits(request, packed.node(row)) for row in range(len(fleet)))
        assert (packed.place(request) is not None) == could


@needs_numba
@pytest.mark.parametrize("policy", DETERMINED)
@settings(max_examples=60, deadline=None)
@given(fleet=fleets, asked=arrivals, usual=arrivals)
def test_the_compiled_loops_place_as_their_twin_does(policy, fleet, asked, usual):
    twin = packer(fleet, usual, policy=policy)
    compiled = packer(fleet, usual, policy=policy, compiled=True)
    assert compiled.place_all(asked) == twin.place_all(asked)
    assert [compiled.node(row) for row in range(len(fleet))] == [
        twin.node(row) for row in range(len(fleet))
    ]


@settings(max_examples=25, deadline=None)
@given(fleet=fleets, asked=arrivals)
def test_one_by_one_and_all_at_once_are_the_same(fleet, asked):
    one_by_one = packer(fleet, asked)
    assert [one_by_one.place(request) for request in asked] == packer(fleet, asked).place_all(asked)


@settings(max_examples=25, deadline=None)
@given(fleet=fleets, asked=arrivals)
def test_what_is_given_back_is_idle_again(fleet, asked):
    packed = packer(fleet, asked)
    for request, placement in zip(asked, packed.place_all(asked), strict=True):
        if placement is not None:
            packed.give_back(placement, request)
    assert [packed.node(row) for row in range(len(fleet))] == fleet


@settings(max_examples=15, deadline=None)
@given(fleet=fleets, asked=arrivals)
def test_forgotten_scores_change_no_placement(fleet, asked):
    remembered = packer(fleet, asked).place_all(asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "SCORES_MAX", 2 * len(fleet))
        assert packer(fleet, asked).place_all(asked) == remembered


@pytest.mark.parametrize("policy", list(Policy))
def test_what_fits_nowhere_is_placed_nowhere(policy):
    packed = packer([node(900, 900), node(1_000, cpu=500)], policy=policy)
    assert packed.place(whole()) is None
    assert packed.place(share(950)) is None
    assert packed.place(share(100, memory_mib=1 << 20)) is None
    assert packer([], policy=policy).place(share(100)) is None


@pytest.mark.parametrize("policy", list(Policy))
def test_a_share_is_never_split_over_two_gpus(policy):
    packed = packer([node(500, 500, 600)], policy=policy)
    assert packed.place(share(600)) == Placement(node=0, gpus=(2,))
    assert packed.place(share(600)) is None


@pytest.mark.parametrize("policy", list(Policy))
def test_only_the_models_that_were_named_are_used(policy):
    packed = packer([node(1_000, model="T4"), node(1_000, model="A100")], policy=policy)
    assert packed.place(whole(models=frozenset({"A100", "H100"}))).node == 1
    assert packed.place(whole(models=frozenset({"A100"}))) is None
    assert packed.place(whole(models=frozenset({"H100"}))) is None
    assert packed.place(whole()).node == 0


def test_of_equal_nodes_the_fuller_one_is_chosen_and_then_the_first():
    fleet = [node(1_000, 1_000), node(1_000), node(1_000, cpu=32_000), node(1_000, cpu=32_000)]
    assert packer(fleet).place(whole()) == Placement(node=2, gpus=(0,))
    assert packer(fleet, policy=Policy.FIRST_FIT).place(whole()) == Placement(node=0, gpus=(0,))


def test_a_request_without_a_gpu_goes_where_the_gpus_are_useless_already():
    fleet = [node(1_000, 1_000), node(100, 100), node(1_000)]
    assert packer(fleet, [whole(cpu=32_000)]).place(Request(cpu_milli=40_000)).node == 1


def test_cpu_is_kept_for_the_gpus_that_need_it():
    """Both nodes have one GPU and are equally full of it; on the first the CPU is just what a usual request asks."""
    fleet = [node(1_000, cpu=8_000), node(1_000, cpu=16_000)]
    assert packer(fleet, [whole(cpu=8_000)]).place(Request(cpu_milli=2_000)).node == 1


def test_memory_that_runs_out_strands_gpus_as_cpu_does():
    fleet = [node(1_000, memory=8_192), node(1_000, memory=16_384)]
    usual = [whole(memory_mib=8_192)]
    assert packer(fleet, usual).place(Request(cpu_milli=0, memory_mib=2_048)).node == 1


def test_a_model_that_nobody_may_use_is_filled_first():
    usual = [whole(models=frozenset({"A100"}))] * 99 + [whole()]
    fleet = [node(1_000, model="A100"), node(1_000, model="T4", cpu=65_000)]
    assert packer(fleet, usual).place(share(500)).node == 1


def test_a_share_goes_beside_the_one_that_completes_it():
    usual = [share(650)] * 9 + [share(350)]
    fleet = [node(650), node(350, 400)]
    assert packer(fleet, usual).place(share(350)) == Placement(node=1, gpus=(0,))
    assert packer(fleet, usual, policy=Policy.FIRST_FIT).place(share(350)).node == 0


def test_without_a_sample_of_what_is_usual_it_is_plain_best_fit():
    packed = packer([node(1_000, 1_000), node(700, 1_000), node(1_000)])
    assert packed.place(share(600)) == Placement(node=2, gpus=(0,))
    assert packed.place(share(400)) == Placement(node=2, gpus=(0,))


def test_random_placement_is_the_chance_that_was_given():
    fleet, asked = [node(1_000)] * 8, [share(500)] * 10
    first, again = (packer(fleet, policy=Policy.RANDOM).place_all(asked) for _ in range(2))
    assert first == again
    assert len({placement.node for placement in first}) > 3


def test_it_works_without_numba():
    hidden = "import sys; sys.modules['numba'] = None\n"
    asks = "from gondwana.market.packing import Node, Packer, Request\n" \
           "node = Node(cpu_milli=1000, memory_mib=0, idle_milli=(1000,), model='T4')\n" \
           "request = Request(cpu_milli=1, num_gpu=1, gpu_milli=500)\n" \
           "assert Packer([node], [request]).place(request).gpus == (0,)"  # fmt: skip
    subprocess.run([sys.executable, "-c", hidden + asks], check=True)
    demands = asks.replace("[request])", "[request], compiled=True)")
    code = [sys.executable, "-c", hidden + demands]
    done = subprocess.run(code, capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" in done.stderr


def test_importing_it_loads_no_compiler():
    code = "import sys, gondwana.market.packing; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("wrong", [
    {"num_gpu": 2, "gpu_milli": 500}, {"num_gpu": 1, "gpu_milli": 0}, {"num_gpu": 1, "gpu_milli": 1_001},
    {"num_gpu": 0, "gpu_milli": 10}, {"num_gpu": -1}, {"num_gpu": packing.GPUS_MAX + 1, "gpu_milli": 1_000},
    {"cpu_milli": -1}, {"cpu_milli": packing.AMOUNT_MAX + 1}, {"memory_mib": -1},
])  # fmt: skip
def test_a_request_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InvalidValue):
        Request(**{"cpu_milli": 1, **wrong})


def test_a_node_that_makes_no_sense_is_refused():
    for wrong in ({"cpu": -1}, {"memory": packing.AMOUNT_MAX + 1}):
        with pytest.raises(InvalidValue):
            node(**wrong)
    for idle_milli in ([1_001], [-1], [1_000] * (packing.GPUS_MAX + 1)):
        with pytest.raises(InvalidValue):
            node(*idle_milli)
    with pytest.raises(TooLarge):
        packer([node(model=str(number)) for number in range(packing.MODELS_MAX + 1)])


@pytest.fixture(scope="module")
def openb():
    spec = importlib.util.spec_from_file_location("openb", ROOT / "benchmarks" / "openb.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["openb"] = module
    spec.loader.exec_module(module)
    return module


@needs_trace
@needs_numba
@pytest.mark.parametrize("policy", DETERMINED)
def test_the_loops_and_their_twin_place_a_slice_of_the_trace_alike(openb, policy):
    fleet, lists = openb.read_folder(DATA)
    fleet = fleet[::40]  # so few that they are full soon
    for pods in lists.values():
        order = openb.arrivals(pods, 1_000 * sum(len(each.idle_milli) for each in fleet), 42)
        twin, compiled = (packer(fleet, pods, policy=policy, compiled=on) for on in (False, True))
        assert compiled.place_all(order) == twin.place_all(order)
        assert compiled.idle_milli < 200_000


@needs_trace
@needs_numba
def test_it_gives_away_more_of_the_trace_than_fgd_is_published_to(openb):
    fleet, lists = openb.read_folder(DATA)
    for stem, pods in lists.items():
        published = openb.PAPER.get(stem.removeprefix("openb_pod_list_"))
        score, _ = openb.run(fleet, pods, Policy.GONDWANA, 42)
        assert score > openb.run(fleet, pods, Policy.FIRST_FIT, 42)[0] + 0.8
        assert published is None or score > published[-1]


HEADER = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n"
FLEET = "sn,cpu_milli,memory_mib,gpu,model\n" + "n,64000,65536,4,T4\n" * 3


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "openb_node_list_gpu_node.csv").write_text(FLEET)
    (tmp_path / "openb_pod_list_small.csv").write_text(
        HEADER + "p,1000,1024,1,500,T4|A10\n" * 5 + "q,1,1,0,0,\n"
    )
    return tmp_path  # fmt: skip


def test_the_benchmark_ends_with_its_one_line(openb, folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["openb", str(folder), "--seeds", "2", "--json"])
    openb.main()
    found = openb.json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(found) == ["lists"]
    assert list(found["lists"]) == ["openb_pod_list_small"]
    figures = found["lists"]["openb_pod_list_small"]
    assert list(figures) == ["gondwana", "first-fit", "best-fit", "fgd"]
    assert figures["gondwana"]["mean"] == 100
    assert figures["gondwana"]["by_seed"] == [100, 100]
    assert figures["gondwana"]["seconds"] > 0


def test_arrivals_are_the_shuffled_list_and_then_pods_of_it_by_chance(openb):
    pods = [share(100, cpu=number) for number in range(100)]
    order = openb.arrivals(pods, 10_000, 42)
    assert sum(pod.total_milli for pod in order) == 13_000
    assert Counter(order[:100]) == Counter(pods)
    assert order[:100] != pods
    assert order == openb.arrivals(pods, 10_000, 42)
    assert order != openb.arrivals(pods, 10_000, 43)


@pytest.mark.parametrize(("text", "says"), [
    ("", "line 1, column cpu_milli"),
    ("name,cpu_milli,memory_mib,num_gpu\n", "line 1, column gpu_milli"),
    (HEADER.replace("name", "num_gpu"), "line 1, column num_gpu"),
    (HEADER, "no pod asks for a GPU"),
    (HEADER + "p,1,1,0,0,\n", "no pod asks for a GPU"),
    (HEADER + "p,1,1,1,500,\np,1,1,1,5.5,\n", "line 3, column gpu_milli: '5.5'"),
    (HEADER + "p,-1,1,1,500,\n", "line 2, column cpu_milli: '-1'"),
    (HEADER + "p,1,,1,500,\n", "line 2, column memory_mib: ''"),
    (HEADER + "p,1,1,1\n", "line 2, column gpu_milli: 4 fields under 6 names"),
    (HEADER + "p,1,1,1,500,,,\n", "line 2, column number 7: 8 fields"),
    (HEADER + "p,1,1,1,0,\n", "line 2, column gpu_milli: 0 milli of 1 GPU"),
    (HEADER + "p,1,1,1,1001,\n", "line 2, column gpu_milli"),
    (HEADER + "p,1,1,4,500,\n", "line 2, column gpu_milli"),
    (HEADER + "p,1,1,400,1000,\n", "line 2, column num_gpu"),
    (HEADER + "p,999999999999,1,1,500,\n", "line 2, column cpu_milli or memory_mib"),
    (HEADER + f"p,{'9' * 5_000},1,1,500,\n", "line 2, column cpu_milli"),
    (HEADER + 'p,1,1,1,500,"a\n', "line 2: unexpected end of data"),
    (HEADER + f"{'p' * 200_000},1,1,1,500,\n", "line 2: field larger"),
])  # fmt: skip
def test_a_pod_list_that_is_wrong_is_named_with_line_and_column(openb, tmp_path, text, says):
    path = tmp_path / "openb_pod_list_wrong.csv"
    path.write_text(text)
    with pytest.raises(openb.BadFile, match="openb_pod_list_wrong") as caught:
        openb.read_pods(path)
    assert says in str(caught.value)


def test_a_pod_list_that_is_no_text_is_named(openb, tmp_path):
    path = tmp_path / "openb_pod_list_wrong.csv"
    path.write_bytes(HEADER.encode() + b"\xff\xfe")
    with pytest.raises(openb.BadFile, match="utf-8"):
        openb.read_pods(path)


@pytest.mark.parametrize(("lines", "says"), [
    ("", "no node has a GPU"), ("n,1,1,0,T4\n", "no node has a GPU"), ("n,1,1,99,T4\n", "line 2, column gpu"),
    ("n,1,1,x,T4\n", "line 2, column gpu"), ("n,1,99999999999,1,T4\n", "line 2, column cpu_milli or memory_mib"),
    ("".join(f"n,1,1,1,{n}\n" for n in range(70)), "line 64, column model"),
])  # fmt: skip
def test_a_node_list_that_is_wrong_is_named_with_line_and_column(openb, tmp_path, lines, says):
    path = tmp_path / "nodes.csv"
    path.write_text(FLEET.splitlines(keepends=True)[0] + lines)
    with pytest.raises(openb.BadFile, match="nodes") as caught:
        openb.read_nodes(path)
    assert says in str(caught.value)


def test_a_folder_that_lacks_the_trace_says_where_to_get_it(openb, tmp_path, folder, monkeypatch):
    for place in (tmp_path / "nowhere", tmp_path):
        (folder / "openb_node_list_gpu_node.csv").unlink(missing_ok=True)
        monkeypatch.setattr(sys, "argv", ["openb", str(place)])
        with pytest.raises(SystemExit, match="kubernetes-scheduler-simulator"):
            openb.main()


def test_pods_that_hardly_ask_for_a_gpu_end_with_an_error(openb, monkeypatch):
    monkeypatch.setattr(openb, "ROWS_MAX", 1_000)
    with pytest.raises(openb.BadFile, match="do not ask for 130 %"):
        openb.arrivals([share(1), *[Request(cpu_milli=1)] * 99], 1_000_000, 42)
