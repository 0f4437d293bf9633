"""The speed that is offered is the speed that was measured, in the sandbox, under the owner's terms."""

import asyncio
from importlib.util import find_spec

import pytest

from gondwana.agent.probe import measure_speed
from gondwana.core.errors import Unavailable
from gondwana.engines.base import Limits

pytestmark = [pytest.mark.sandbox, pytest.mark.torch]


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_a_machine_is_measured_from_inside_its_sandbox(report, tmp_path):
    speed = asyncio.run(
        measure_speed(report.sandbox(), tmp_path, name="probe", limits=Limits(cpus=1.0))
    )
    assert speed.torch
    assert (speed.matmul_gflops or 0) > 1
    assert (speed.memory_bytes_per_second or 0) > 1e8
    assert (speed.steps_per_second or 0) > 0.1


def test_a_probe_that_does_not_fit_in_the_owners_terms_says_so(report, tmp_path):
    limits = Limits(memory_bytes_max=24 * 1024**2)
    with pytest.raises(Unavailable) as caught:
        asyncio.run(measure_speed(report.sandbox(), tmp_path, name="probe", limits=limits))
    assert "out_of_memory" in str(caught.value)
