"""The memory budget: what fits, what is refused, and what a load gives back."""

import pytest
from sentinova_server.serving.memory import PEAK_FACTOR, MemoryBudget, NoRoomError, measure_resident, trim_memory

LIMIT = 1000


def fitting(resident):
    return int((LIMIT - resident) / PEAK_FACTOR)


def test_what_fits_is_let_through_and_what_does_not_is_refused():
    budget = MemoryBudget(LIMIT, lambda: 300)
    with budget.reserving() as reserve:
        reserve(fitting(300))
    with budget.reserving() as reserve, pytest.raises(NoRoomError, match="memory-budget-bytes leaves"):
        reserve(fitting(300) + 1)


def test_loads_at_once_do_not_take_the_same_room():
    budget = MemoryBudget(LIMIT, lambda: 300)
    with budget.reserving() as first, budget.reserving() as second:
        first(150)
        with pytest.raises(NoRoomError):
            second(150)
    with budget.reserving() as third:  # what the first had is free again, though the second was refused
        third(150)


def test_no_limit_lets_everything_through():
    with MemoryBudget(0, lambda: 1 << 60).reserving() as reserve:
        reserve(1 << 60)


def test_the_process_has_memory_and_gives_it_back():
    block = bytearray(64 << 20)
    with_block = measure_resident()
    assert with_block > len(block)
    del block
    trim_memory()
    assert measure_resident() < with_block
