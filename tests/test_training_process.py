"""What a training sets for all of its process."""

from __future__ import annotations

import platform

import pytest
import torch

from tests.commands import run_program
from trainables.process import set_up
from trainables.runtime import Runtime

MAPPED_ANEW = """
import resource
import torch
from trainables.process import set_up
from trainables.runtime import Runtime

def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def faults_of_steps():
    for _ in range(20):  # until it has settled
        torch.zeros(16 * 2**20)  # 64 MB that are freed at once
    before = page_faults()
    for _ in range(5):
        torch.zeros(16 * 2**20)
    return page_faults() - before

ordinarily = faults_of_steps()
set_up(Runtime(device="cpu"))
print(faults_of_steps() < ordinarily / 10)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other ways")
def test_freed_memory_is_taken_again_and_not_mapped_anew() -> None:
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
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *given: shares.append(given))
    before = torch.get_float32_matmul_precision()
    try:
        set_up(Runtime(device="cuda", gpu_share=0.25))
        set_up(Runtime(device="cuda:1"))
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.benchmark = False
    assert shares == [(0.25, None), (1.0, 1)]
