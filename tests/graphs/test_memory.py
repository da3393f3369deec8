import os
from pathlib import Path

import pytest

from recsk.graphs import memory
from recsk.graphs.memory import available_memory, check_memory


def test_the_available_memory_is_a_number_of_bytes():
    available = available_memory()
    assert available is None or available > 2**20


def test_without_a_list_of_memory_it_is_that_of_the_machine(monkeypatch):
    def no_file(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", no_file)
    sizes = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__, raising=False)
    assert available_memory() == 4_096_000
    monkeypatch.delattr(os, "sysconf")
    assert available_memory() is None


@pytest.mark.parametrize(
    ("limit", "expected"), [("1000", 1000), ("max", 4_096_000), (str(2**60), 4_096_000)]
)
def test_a_container_has_no_more_than_its_limit(limit, expected, monkeypatch, tmp_path):
    path = tmp_path / "memory.max"
    path.write_text(f"{limit}\n")
    monkeypatch.setattr(memory, "_LIMITS", (str(path), str(tmp_path / "none")))
    monkeypatch.setattr(memory, "_machine_memory", lambda: 4_096_000)
    assert available_memory() == expected


def test_an_unknown_amount_of_memory_refuses_nothing(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    check_memory(2**80, "everything", "wait")


def test_the_error_names_what_is_needed_what_there_is_and_the_cure(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 2**30)
    check_memory(2**30, "a matrix", "buy memory")
    with pytest.raises(
        MemoryError,
        match=r"a matrix needs 3,221,225,472 bytes of memory \(3\.0 GiB\), and 1,073,741,824 "
        r"bytes \(1\.0 GiB\) are available; buy memory",
    ):
        check_memory(3 * 2**30, "a matrix", "buy memory")
