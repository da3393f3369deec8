import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from recsk.plotting import embedding
from recsk.ranking import ItemIndex, exact, threads, top_k
from recsk.ranking.threads import in_fork, one_thread_in_forks


def n_threads():
    return {(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()}


def only(number, kinds=("openmp",)):
    pools = [pool for pool in threadpool_info() if pool["user_api"] in kinds]
    assert len(pools) >= len(kinds)
    return {x["num_threads"] for x in pools} == {number} and torch.get_num_threads() == number


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    with threadpool_limits(2):
        torch.set_num_threads(2)
        yield
        torch.set_num_threads(before)


@pytest.fixture
def fork(monkeypatch, two_threads):
    """This process, as if it were a fork."""
    monkeypatch.setattr(threads, "_process", threads._process)
    threads._start_fork()


def test_nothing_is_limited_without_a_fork(two_threads):
    before = n_threads()
    with one_thread_in_forks():
        assert not in_fork() and n_threads() == before and torch.get_num_threads() == 2
    assert n_threads() == before


def test_in_a_fork_there_is_one_thread(fork):
    before = n_threads()
    assert in_fork() and only(2)
    with one_thread_in_forks():
        assert only(1)
        with one_thread_in_forks():
            assert only(1)
        assert only(1)
    assert n_threads() == before and only(2)
    with pytest.raises(ZeroDivisionError), one_thread_in_forks():
        raise ZeroDivisionError
    assert n_threads() == before and only(2)


def test_a_blas_whose_threads_are_lost_is_limited(fork, monkeypatch):
    monkeypatch.setattr(threads, "_BLAS", ["openblas", "mkl", "blis"])
    kinds, before = ("openmp", "blas"), n_threads()
    for _ in range(2):
        with one_thread_in_forks():
            assert only(1, kinds)
            with one_thread_in_forks():
                assert only(1, kinds)
            assert only(1, kinds)
        assert only(2, kinds) and n_threads() == before


def test_calls_of_two_threads_that_overlap(fork):
    entered, leave = threading.Event(), threading.Event()
    found = []

    def other():
        with threadpool_limits(2, user_api="openmp"):
            with one_thread_in_forks():
                entered.set()
                leave.wait(20)
                found.append(only(1))
            found.append(only(2))

    thread = threading.Thread(target=other)
    with one_thread_in_forks():
        thread.start()
        assert entered.wait(20)
    assert torch.get_num_threads() == 2  # of this thread; the other one is still inside
    leave.set()
    thread.join()
    assert found == [True, True] and only(2)


def test_torch_is_limited_where_another_call_imports_it(fork, monkeypatch):
    entered, leave = threading.Event(), threading.Event()
    found = []

    def other():
        with threadpool_limits(2, user_api="openmp"):
            with one_thread_in_forks():
                entered.set()
                leave.wait(20)
                found.append(only(1))
            found.append(only(2))

    thread = threading.Thread(target=other)
    monkeypatch.delitem(sys.modules, "torch")
    with one_thread_in_forks():
        monkeypatch.setitem(sys.modules, "torch", torch)
        thread.start()
        assert entered.wait(20)
    leave.set()
    thread.join()
    assert found == [True, True] and only(2)


def test_the_engine_gets_one_thread(fork, monkeypatch):
    given = []
    rank = exact.rank_block

    def spied(*arguments):
        given.append((arguments[-1], only(1)))
        return rank(*arguments)

    monkeypatch.setattr(exact, "rank_block", spied)
    vectors = np.eye(150, dtype=np.float32)
    for users in (vectors, vectors[:1]):
        for asked in (0, 2):
            top_k(users, vectors, 3, n_threads=asked)
    assert given == [(1, True)] * 4


def test_the_index_and_the_projection_get_one_thread(fork, monkeypatch):
    found = []

    class Tsne:
        def __init__(self, **params):
            pass

        def fit_transform(self, rows):
            found.append(only(1))
            return rows[:, :2]

    monkeypatch.setattr(embedding, "TSNE", Tsne)
    vectors = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    embedding._project(vectors, "tsne", np.random.RandomState(0))
    assert found == [True]
    faiss = pytest.importorskip("faiss")
    ann = ItemIndex(vectors, np.ones(20))
    search = faiss.IndexHNSWFlat.search

    def spied(self, *arguments, **options):
        found.append(only(1))
        return search(self, *arguments, **options)

    monkeypatch.setattr(faiss.IndexHNSWFlat, "search", spied)
    ann.query(vectors[:3], 2)
    assert found == [True, True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_knows_that_it_is_one():
    child = os.fork()
    if not child:
        os._exit(0 if in_fork() else 1)
    assert os.waitpid(child, 0)[1] == 0 and not in_fork()


_POOL = """
import multiprocessing
import numpy as np
from recsk.ranking import top_k

vectors = np.random.default_rng(0).normal(size=(300, 8)).astype("f4")
top_k(vectors, vectors, 5)
with multiprocessing.get_context("fork").Pool(2) as pool:
    for ids, _ in pool.starmap(top_k, [(vectors, vectors, 5)] * 2):
        print(ids.shape)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_pool_of_forks_ends():
    command = [sys.executable, "-W", "ignore", "-c", _POOL]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    # It ended in seconds, or never.
    out = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert out.stdout == "(300, 5)\n" * 2, out.stderr
