"""Processes that train together end where one process ends. Here they are threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from recsk.nn import sequences
from recsk.nn.dropout import Dropout
from recsk.nn.parallel import Processes
from recsk.nn.sequences import SequenceShare
from tests.nn import small_mdsrec, toy_fits


@pytest.fixture(autouse=True)
def small_batches_need_few_items(monkeypatch):
    """Batches with sampled negatives compute the vectors of their own items alone."""
    monkeypatch.setattr(sequences, "_LARGEST_SHARE", 1.0)


class Threads:
    """A meeting of threads, which sum what they bring."""

    def __init__(self, size):
        self.size, self.brought = size, [None] * size
        self.barrier = threading.Barrier(size, timeout=60)

    def run(self, call):
        """Call a function of `Processes` in each thread, and return what it returns by rank."""

        def one(rank):
            try:
                return call(InThread(self, rank))
            except BaseException:
                self.barrier.abort()  # the others end too
                raise

        with ThreadPoolExecutor(self.size) as pool:
            return list(pool.map(one, range(self.size)))


class InThread(Processes):
    """One of the threads, in place of a process."""

    def __init__(self, threads, rank):
        self.rank, self.size, self.threads = rank, threads.size, threads
        self.device = torch.device("cpu")

    def _sum(self, tensor):
        total = torch.stack(self._meet(tensor.detach().clone())).sum(dim=0)
        with torch.no_grad():
            tensor.copy_(total)

    @torch.no_grad()
    def copy_weights(self, network):
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.copy_(self._meet(tensor.detach().clone())[0])

    def _meet(self, value):
        self.threads.brought[self.rank] = value
        self.threads.barrier.wait()
        brought = list(self.threads.brought)
        self.threads.barrier.wait()
        return brought


@pytest.mark.parametrize(
    ("name", "size"),
    [*((name, 2) for name in toy_fits.NAMES), ("two users a batch", 4), ("sampled", 4)],
)
def test_losses_and_vectors_are_those_of_one_process(name, size):
    losses, vectors = toy_fits.fit(name)
    found = Threads(size).run(lambda processes: toy_fits.fit(name, processes))
    np.testing.assert_allclose(sum(own for own, _ in found), losses, rtol=0, atol=1e-6)
    for _, own in found:
        for one, other in zip(own, vectors, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def shares_of(batch, size):
    threads = Threads(size)
    return [batch.share_of(InThread(threads, rank)) for rank in range(size)]


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("name", toy_fits.NAMES)
def test_shares_are_the_batch(name, size):
    """Every interaction is in one share, with what belongs to it."""
    _, batches, _ = (toy_fits.mde if name in toy_fits.MDE else toy_fits.mdsrec)(name)
    for batch in batches:
        assert name != "sampled" or batch.needed is not None
        shares = shares_of(batch, size)
        assert sum(part.share.fraction for part in shares) == pytest.approx(1)
        counted = [part for part in shares if part.share.fraction]
        own = torch.cat([part.share.own for part in counted])
        assert own.sort().values.tolist() == list(range(len(own)))
        for field in ("user", "positive", "target", "weight", "positive_index", "target_index"):
            whole = getattr(batch, field, None)
            if whole is not None:
                joined = torch.cat([ids_of(part, field) for part in counted])
                assert torch.equal(joined, ids_of(batch, field)[own])
        for part in counted:
            assert part.share.fraction == pytest.approx(len(part.share.own) / len(own))
            if getattr(batch, "rows", None) is not None:
                expect_same_rows(batch, part)


def ids_of(batch, field):
    """A field of a batch; targets as items, which a batch may number by itself."""
    value, needed = getattr(batch, field), getattr(batch, "needed", None)
    return value if field != "target" or needed is None else needed[value]


def expect_same_rows(batch, part):
    rows = part.rows
    assert torch.equal(rows.user[rows.user_index], part.user)
    assert torch.equal(rows.item[rows.positive_index], part.positive)
    assert torch.equal(rows.item[rows.negative_index], part.negative)
    assert torch.equal(rows.affinity, batch.rows.affinity[part.share.own])
    assert torch.equal(rows.step.user[rows.step.own_user], rows.user)
    assert torch.equal(rows.step.item[rows.step.own_item], rows.item)
    if part.seen is not None:
        whole = batch.seen.seen[batch.seen.user_index[part.share.own]]
        assert torch.equal(part.seen.seen[part.seen.user_index], whole)


@pytest.mark.parametrize("shape", [(5, 3, 4), (5, 7)])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_share_has_the_dropout_of_the_whole_batch(shape, size):
    layer, x = Dropout(0.4), torch.ones(shape)
    torch.manual_seed(0)
    whole = layer(x)
    after = torch.rand(1)
    for rank in range(size):
        rows = slice(rank, None, size)
        share = SequenceShare(0.5, rows, len(x), torch.arange(1), 1)
        torch.manual_seed(0)
        assert torch.equal(layer(x[rows], share), whole[rows])
        assert torch.equal(torch.rand(1), after)


def test_a_share_has_the_gumbel_noise_of_the_whole_batch():
    problem = small_mdsrec.Problem(fusion="gumbel")
    encoder = problem.network().train().encoder
    states = torch.randn(9, 2, small_mdsrec.D, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    whole = encoder.fusion_weights(states)
    own = torch.tensor([0, 3, 4, 8])
    torch.manual_seed(0)
    share = encoder.fusion_weights(states[own], SequenceShare(0.5, slice(0, 2), 4, own, 9))
    assert torch.equal(share, whole[own])


def test_without_a_group_there_are_no_processes(monkeypatch):
    cpu = torch.device("cpu")
    assert Processes.current(cpu) is None
    monkeypatch.setattr(torch.distributed, "is_available", lambda: False)
    monkeypatch.delattr(torch.distributed, "is_initialized")
    assert Processes.current(cpu) is None


def test_processes_that_exchange_on_cuda_only_cannot_train_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.distributed, "get_backend", lambda: "nccl")
    with pytest.raises(ValueError, match="device='cpu' .* 'nccl'.*init_process_group.'gloo'"):
        Processes(0, 2, torch.device("cpu"))
