import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsk.nn.user_batches import UserBatches
from tests.nn.cuda import DEVICES

OPTIONS = [
    {},
    {"n_shared": 7},
    {"n_shared": 7, "exclude_seen": True},
    {"n_shared": 1000, "exclude_seen": True},  # the whole catalogue
    {"exclude_seen": True},  # nothing is shared: nothing to exclude
]


class Log:
    """Interactions with known affinities and weights; some ids of users have none."""

    def __init__(self, degrees, n_items=None, seed=0):
        rng = np.random.default_rng(seed)
        self.n_items = n_items or max(degrees) + 3
        self.R = np.zeros((2 * len(degrees), self.n_items), dtype=bool)
        for u, degree in enumerate(degrees):
            self.R[2 * u + 1, rng.permutation(self.n_items)[:degree]] = True
        self.affinity, self.weight = rng.random((2, *self.R.shape)).astype(np.float32)

    def batches(self, batch_size, seed=0, device="cpu", **options):
        pairs = [torch.as_tensor(ids, device=device) for ids in self.R.nonzero()]
        affinity, weight = (
            torch.as_tensor(x[self.R], device=device) for x in (self.affinity, self.weight)
        )
        generator = torch.Generator(device).manual_seed(seed)
        return UserBatches(
            *pairs,
            affinity,
            n_items=self.n_items,
            batch_size=batch_size,
            weight=weight,
            generator=generator,
            **options,
        )


def numpy_of(value):
    if isinstance(value, tuple):
        return type(value)(*map(numpy_of, value))
    return None if value is None else value.cpu().numpy()


def check_passes(log, batches, batch_size):
    """Every interaction once, whole users, and batches of about the same size."""
    n, n_users = int(log.R.sum()), int(log.R.any(axis=1).sum())
    drawn = [numpy_of(batch) for batch in batches]
    assert len(drawn) == len(batches) == min(-(-n // batch_size), n_users)
    users, items = (np.concatenate([getattr(b, x) for b in drawn]) for x in ("user", "positive"))
    np.testing.assert_array_equal(sorted(zip(users, items, strict=True)), np.argwhere(log.R))
    divided = np.concatenate([np.unique(batch.user) for batch in drawn])
    assert len(divided) == n_users  # no user is in two batches
    sizes = [len(batch.user) for batch in drawn]
    assert min(sizes) > 0
    assert max(sizes) <= n / len(drawn) + log.R.sum(axis=1).max() + 1
    return drawn


@given(
    degrees=st.lists(st.integers(1, 12), min_size=1, max_size=60),
    batch_size=st.integers(1, 40),
    options=st.sampled_from(OPTIONS),
    seed=st.integers(0, 3),
)
def test_an_epoch_has_every_interaction_once_and_whole_users(degrees, batch_size, options, seed):
    log = Log(degrees)
    check_passes(log, log.batches(batch_size, seed, **options), batch_size)


@pytest.mark.parametrize("degrees", [[500, *[1] * 20], [*[1] * 20, 500], [1, 300, 1, 300, 1], [9]])
@pytest.mark.parametrize("batch_size", [1, 8, 100, 10_000])
def test_a_user_may_be_larger_than_the_batch(degrees, batch_size):
    log = Log(degrees)
    batches = log.batches(batch_size, n_shared=5)
    for _ in range(3):
        check_passes(log, batches, batch_size)


def test_batches_of_small_users_have_about_the_batch_size():
    log = Log(np.random.default_rng(0).integers(1, 5, size=400))
    sizes = [len(batch.user) for batch in log.batches(100)]
    assert min(sizes) > 90 and max(sizes) < 110


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("batch_size", [1, 9, 1000])  # 90, about 30 and one batch
def test_what_a_batch_has(batch_size, options, device):
    log = Log(np.random.default_rng(0).integers(1, 6, size=90), n_items=40)
    drawn = check_passes(log, log.batches(batch_size, device=device, **options), batch_size)
    assert batch_size > 1 or len(drawn) > 2 * 32  # drawn in three parts
    for batch in drawn:
        rows, pairs = batch.rows, (batch.user, batch.positive)
        assert len(set(rows.user)) == len(rows.user)
        np.testing.assert_array_equal(rows.user[rows.user_index], batch.user)
        np.testing.assert_array_equal(rows.item, np.union1d(batch.positive, batch.negative))
        np.testing.assert_array_equal(rows.item[rows.positive_index], batch.positive)
        np.testing.assert_array_equal(rows.item[rows.negative_index], batch.negative)
        np.testing.assert_array_equal(rows.affinity, log.affinity[pairs])
        np.testing.assert_array_equal(batch.weight, log.weight[pairs])
        if "n_shared" not in options:
            assert batch.negative.shape == batch.positive.shape
            assert batch.positive_index is None and batch.seen is None
            continue
        assert len(set(batch.negative)) == len(batch.negative) == min(options["n_shared"], 40)
        if "exclude_seen" in options:
            assert batch.positive_index is None
            np.testing.assert_array_equal(batch.seen.user, rows.user)
            np.testing.assert_array_equal(batch.seen.user_index, rows.user_index)
            np.testing.assert_array_equal(batch.seen.seen, log.R[rows.user][:, batch.negative])
        else:
            assert batch.seen is None
            negatives = batch.negative.tolist()
            expected = [negatives.index(i) if i in negatives else -1 for i in batch.positive]
            np.testing.assert_array_equal(batch.positive_index, expected)


def test_negatives_of_each_interaction_are_mostly_unseen():
    log = Log([4] * 300, n_items=40)
    drawn = [numpy_of(batch) for batch in log.batches(100)]
    seen = np.concatenate([log.R[batch.user, batch.negative] for batch in drawn])
    assert seen.mean() < 0.005  # one draw and four redraws: 0.1 ** 5
    counts = np.bincount(np.concatenate([batch.negative for batch in drawn]), minlength=40)
    assert counts.min() > 0


def test_without_weights():
    batches = Log([3, 2]).batches(2)
    batches.weight = None
    assert all(batch.weight is None for batch in batches)


@pytest.mark.parametrize("options", OPTIONS[:3], ids=str)
def test_the_seed_of_the_generator_decides_the_draws(options):
    log = Log([3] * 50)

    def flat(seed):
        batches = log.batches(10, seed, **options)
        return [
            [x.tolist() for batch in batches for x in (batch.user, batch.positive, batch.negative)]
            for _ in range(2)
        ]

    assert flat(1) == flat(1) != flat(2)
    first, second = flat(1)
    assert first != second  # another order and other negatives in each epoch


def test_users_are_in_another_order_in_each_epoch():
    log = Log([1] * 200)
    batches = log.batches(50)
    orders = [np.concatenate([batch.user for batch in batches]).tolist() for _ in range(2)]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])
    assert sorted(orders[0]) not in orders
