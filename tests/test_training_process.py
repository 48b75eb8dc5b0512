"""What a training sets for all of its process."""

from __future__ import annotations

import platform
from types import SimpleNamespace

import pytest
import torch

from tests.commands import run_program
from trainables.process import PROCESS_BYTES, set_up, usable_bytes
from trainables.runtime import Runtime

MAPPED_ANEW = """
import resource, threading
import torch

def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def faults_of_steps():
    for _ in range(20):  # until it has settled
        torch.zeros(32 * 2**20)  # 128 MB that are freed at once
    before = page_faults()
    for _ in range(5):
        torch.zeros(32 * 2**20)
    return page_faults() - before

def in_a_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]

ordinarily = faults_of_steps()
import search.tune.trial  # as the process of a trial does before Tune starts a thread
print(in_a_thread(faults_of_steps) < ordinarily / 10)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other ways")
def test_a_trials_freed_memory_is_taken_again_and_not_mapped_anew() -> None:
    found = run_program(MAPPED_ANEW)
    assert found.stdout == "True\n", found.stderr


def test_the_threads_are_those_of_the_trial() -> None:
    before = torch.get_num_threads()
    try:
        for threads in (2, 1):
            set_up(Runtime(device="cpu", threads=threads))
            assert torch.get_num_threads() == threads
        set_up(Runtime(device="cpu"))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_gpu_is_shared_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    # torch takes a number, or None for the current one, but no device without a number.
    shares: list[tuple[float, int | None]] = []
    gpu = SimpleNamespace(total_memory=80 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: gpu)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *given: shares.append(given))
    before = torch.get_float32_matmul_precision()
    try:
        set_up(Runtime(device="cuda", gpu_share=0.25))
        set_up(Runtime(device="cuda:1"))
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.benchmark = False
    (shared, number), alone = shares
    assert 0.22 < shared < 0.25
    assert (number, alone) == (None, (1.0, 1))


@pytest.mark.parametrize("trainings", [2, 4, 16])
def test_trainings_that_share_a_gpu_take_no_more_than_it_has(trainings: int) -> None:
    for total_bytes in (16 << 30, 80 << 30):
        each = usable_bytes(total_bytes, 1 / trainings) + PROCESS_BYTES
        assert 0.9 * total_bytes < trainings * each < total_bytes
