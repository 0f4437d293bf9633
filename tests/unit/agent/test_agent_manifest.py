"""An agent runs what was ordered, and nothing else."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.agent.runner import check_manifest
from gondwana.core.errors import ManifestMismatch
from gondwana.core.values import replace
from gondwana.wire.agent import LeaseDuty, RunDuty
from gondwana.wire.jobs import JobSpec, MarketTerms
from gondwana.wire.manifests import manifest_hash

texts = st.text(max_size=8)
specs = st.builds(
    JobSpec, name=st.just("job"), run=texts, setup=texts, workdir=st.none() | texts,
    envs=st.dictionaries(texts, texts, max_size=3), file_mounts=st.dictionaries(texts, texts, max_size=2),
)  # fmt: skip


def duty(spec, **changes):
    run = RunDuty(
        run_id="run_a", setup=spec.setup, run=spec.run, environment={"RANK": "0"}, workdir=spec.workdir,
        file_mounts=spec.file_mounts, seconds_max=1.0, envs=spec.envs,
    )  # fmt: skip
    lease = LeaseDuty(
        lease_id="lea_a", epoch=1, job_id="job_a", own=False, manifest_hash=manifest_hash(spec)
    )
    return lease, msgspec.structs.replace(run, **changes)


@given(specs, texts)
def test_whatever_is_changed_on_the_way_is_refused(spec, text):
    check_manifest(*duty(spec))
    mounts = {**spec.file_mounts, "/x/y/z/0123": text}
    for change in ({"run": spec.run + "x"}, {"setup": spec.setup + "x"}, {"workdir": f"{spec.workdir}x"},
                   {"envs": {**spec.envs, "LD_PRELOAD": text}}, {"file_mounts": mounts}):  # fmt: skip
        with pytest.raises(ManifestMismatch):
            check_manifest(*duty(spec, **change))


@given(specs)
def test_what_a_job_pays_and_asks_of_machines_is_no_part_of_what_it_runs(spec):
    other = replace(spec, budget_micro_usd=1, seconds_max=9.0, market=MarketTerms(is_standing=True))
    assert manifest_hash(other) == manifest_hash(spec)


def test_a_training_unit_with_another_recipe_or_folder_is_refused(make):
    spec = make.train_spec()
    lease, _ = duty(spec)
    unit = make.unit_spec()
    check_manifest(lease, unit)
    for change in ({"recipe": "other.py"}, {"code": "cd" * 32}):
        with pytest.raises(ManifestMismatch):
            check_manifest(lease, replace(unit, **change))
