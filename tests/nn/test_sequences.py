import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsk.nn import sequences
from recsk.nn.sequences import SequenceSampler, pad_sequences

lengths = st.lists(st.integers(0, 12), max_size=8)


def sampler(lengths, *, max_length=5, batch_size=3, seed=0, device="cpu", **options):
    """A sampler of sequences in which every item occurs once: its id is its flat position."""
    indptr = np.cumsum([0, *lengths])
    return SequenceSampler(
        indptr,
        np.arange(indptr[-1]),
        max_length=max_length,
        batch_size=batch_size,
        rng=np.random.RandomState(seed),
        device=torch.device(device),
        **{"n_items": max(int(indptr[-1]), 1), **options},
    )


def windows(batch):
    """Items and targets of every row of a batch, without the padding."""
    items, target = batch.items.numpy(), np.zeros(batch.items.numel(), np.int64)
    filled = np.zeros(items.size, dtype=bool)
    filled[batch.position] = True
    target[batch.position] = batch.target
    rows = zip(items, target.reshape(items.shape), filled.reshape(items.shape), strict=True)
    for row, next_items, is_item in rows:
        n = is_item.sum()
        assert is_item[:n].all() and not row[n:].any()  # padded at the end, with zeros
        yield row[:n], next_items[:n]


def as_items(batch):
    """A batch with items in place of positions among the items that it needs."""
    if batch.needed is None:
        return batch
    parts = ("items", "target", "negative")
    return batch._replace(**{name: batch.needed[getattr(batch, name)] for name in parts})


@given(lengths, st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_every_item_but_the_first_is_a_target_once(lengths, max_length, batch_size, seed):
    batches = sampler(lengths, max_length=max_length, batch_size=batch_size, seed=seed)
    ends = np.cumsum(lengths, dtype=int)
    starts = ends - lengths
    for _ in range(2):
        targets, n_batches, n_windows = [], 0, 0
        for batch in batches:
            assert batch.negative is None and batch.target_index is batch.target
            rows = list(windows(batch))
            assert len(rows) >= 1
            assert max(len(row) for row, _ in rows) == batch.items.shape[1] <= max_length
            for row, next_items in rows:
                np.testing.assert_array_equal(row, np.arange(row[0], row[0] + len(row)))
                np.testing.assert_array_equal(next_items, row + 1)
                assert not np.isin(next_items, starts).any()  # of the same sequence
                targets.extend(next_items)
            n_batches, n_windows = n_batches + 1, n_windows + len(rows)
        assert sorted(targets) == sorted(set(range(sum(lengths))) - set(starts[starts < ends]))
        # Fewer if a window is longer than a batch should be.
        assert n_batches <= -(-n_windows // batch_size)
        # Cuts change the lengths of windows, and their number by one for each sequence.
        assert abs(n_batches - len(batches)) <= len(lengths)


@given(
    st.lists(st.integers(2, 40), min_size=1, max_size=60),
    st.integers(1, 8),
    st.integers(0, 2**32 - 1),
)
def test_batches_have_about_the_same_number_of_targets(lengths, batch_size, seed):
    batches = sampler(lengths, max_length=10, batch_size=batch_size, seed=seed)
    for _ in range(2):
        found = list(batches)
        n_windows = sum(len(batch.items) for batch in found)
        mean = (sum(lengths) - len(lengths)) / -(-n_windows // batch_size)
        longest = max(batch.items.shape[1] for batch in found)
        assert all(abs(len(batch.target) - mean) < longest for batch in found)


def test_the_number_of_batches_that_is_known_before():
    # Many sequences are longer than a batch should be.
    batches = sampler([3] * 900 + [50] * 100, max_length=50, batch_size=1)
    assert len(list(batches)) == pytest.approx(len(batches), rel=0.02)
    assert len(batches) < 500


def test_a_target_of_a_long_sequence_has_the_weight_of_others():
    # In batches of as many sequences, it would have a twentieth of it.
    batches = sampler([21] * 20 + [2] * 400, max_length=20, batch_size=42)
    assert [len(batch.target) for batch in batches] == [80] * 10


@given(lengths, st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_every_target_has_its_weight_relative_to_the_mean_of_all_targets(lengths, max_length, seed):
    weights = np.random.default_rng(seed).lognormal(size=sum(lengths)).astype(np.float32)
    starts = np.cumsum([0, *lengths], dtype=int)[:-1][np.array(lengths, dtype=int) > 0]
    mean = np.delete(weights, starts).mean() if len(weights) > len(starts) else 1
    batches = sampler(lengths, max_length=max_length, seed=seed, weights=weights)
    plain = sampler(lengths, max_length=max_length, seed=seed)
    for batch, other in zip(batches, plain, strict=True):
        assert torch.equal(batch.target, other.target) and other.weight is None
        np.testing.assert_allclose(batch.weight, weights[batch.target] / mean, rtol=1e-5)


@given(lengths, st.integers(0, 9))
def test_a_sequence_of_at_most_max_length_is_never_cut(lengths, seed):
    batches = sampler(lengths, max_length=12, seed=seed)
    window_lengths = [len(row) for batch in batches for row, _ in windows(batch)]
    assert sorted(window_lengths) == sorted(n - 1 for n in lengths if n > 1)
    assert len(list(batches)) == len(batches)


@pytest.mark.parametrize("lengths", [[], [0], [0, 0], [1], [1, 0, 1]])
def test_no_batches_without_a_next_item_to_predict(lengths):
    batches = sampler(lengths)
    assert list(batches) == [] and len(batches) == 0


def test_each_epoch_draws_new_cuts():
    batches = sampler([40], max_length=10, batch_size=100)
    firsts = set()
    for _ in range(200):
        (batch,) = batches
        firsts.add(min(len(row) for row, _ in windows(batch) if row[0] == 0))
    assert firsts == set(range(1, 11))


def drawn(batches, n_epochs=2):
    return [
        [None if part is None else part.tolist() for part in batch]
        for _ in range(n_epochs)
        for batch in batches
    ]


@pytest.mark.parametrize("n_negatives", [None, 4])
def test_the_seed_decides_the_draws(n_negatives):
    lengths = [3, 9, 2, 30, 7, 7, 12, 5]
    first, again, other = (
        drawn(sampler(lengths, seed=seed, n_negatives=n_negatives)) for seed in (1, 1, 2)
    )
    assert first == again != other
    half = len(first) // 2
    assert first[:half] != first[half:]


def test_the_global_random_state_stays_unchanged():
    def state():
        return [*np.random.get_state()[1], *torch.get_rng_state().tolist()]  # noqa: NPY002

    before = state()
    drawn(sampler([5, 9, 20], n_negatives=3))
    assert state() == before


def test_batches_join_sequences_of_similar_length():
    batches = sampler([3, 13] * 128, max_length=20, batch_size=8)
    shapes = [(batch.position.numel(), batch.items.numel()) for batch in batches]
    assert sum(n for n, _ in shapes) == 128 * (2 + 12)
    # Both lengths meet in one batch.
    assert sum(n == n_padded for n, n_padded in shapes) >= len(shapes) - 1
    orders = [[batch.items.shape[1] for batch in batches] for _ in range(2)]
    assert orders[0] != orders[1] and sorted(orders[0]) != orders[0]  # in random order


def test_each_epoch_groups_the_sequences_anew():
    batches = sampler([5] * 40, batch_size=10)
    groups = [{frozenset(batch.items[:, 0].tolist()) for batch in batches} for _ in range(2)]
    assert groups[0] != groups[1]


def test_each_batch_draws_new_negatives():
    batches = sampler([5] * 40, batch_size=4, n_negatives=50)
    drawn = [as_items(batch) for _ in range(10) for batch in batches]
    for _, _, target, negative, target_index, weight, *_ in drawn:
        assert weight is None
        assert len(set(negative.tolist())) == 50  # all distinct
        expected = [negative.tolist().index(i) if i in negative else -1 for i in target]
        assert target_index.tolist() == expected
    negatives = torch.stack([batch.negative for batch in drawn])
    assert negatives.shape == (100, 50) and negatives.dtype == torch.int64
    assert len({tuple(row) for row in negatives.tolist()}) == 100
    counts = np.bincount(negatives.ravel(), minlength=200)
    # Uniform: 25 of each item. Drawing a quarter of the catalogue at once varies less than
    # single draws.
    assert len(counts) == 200 and counts.min() > 5 and counts.max() < 50
    assert np.std(counts) == pytest.approx(np.sqrt(25 * 0.75), abs=1)


@pytest.mark.parametrize("n_negatives", [None, 10, 15, 90])
def test_items_in_no_sequence_are_never_negatives(n_negatives):
    for batch in map(as_items, sampler([5, 4, 6], n_negatives=n_negatives, n_items=90)):
        assert (batch.negative < 15).all()
        assert len(set(batch.negative.tolist())) == min(n_negatives or 15, 15)
        assert all(
            (batch.negative[index] == target) if index >= 0 else target not in batch.negative
            for target, index in zip(batch.target, batch.target_index, strict=True)
        )


@pytest.mark.parametrize("n_negatives", [None, 10, 90])
def test_candidates_are_negatives_in_no_sequence_too(n_negatives):
    candidates = np.r_[0:15, 40:60]
    found = set()
    batches = sampler([5, 4, 6] * 5, n_negatives=n_negatives, n_items=90, candidates=candidates)
    for batch in map(as_items, batches):
        assert len(set(batch.negative.tolist())) == min(n_negatives or 35, 35)
        found |= set(batch.negative.tolist())
    assert found <= set(candidates.tolist()) and found & set(range(40, 60))


def test_a_batch_that_needs_few_items_lists_them(monkeypatch):
    lengths = [5, 9, 20, 7] * 30
    few = list(sampler(lengths, n_negatives=8, weights=np.arange(1, 1231, dtype=np.float32)))
    monkeypatch.setattr(sequences, "_LARGEST_SHARE", 0)
    for batch, expected in zip(
        few,
        sampler(lengths, n_negatives=8, weights=np.arange(1, 1231, dtype=np.float32)),
        strict=True,
    ):
        assert expected.needed is None
        used = (expected.items, expected.target, expected.negative)
        np.testing.assert_array_equal(batch.needed, np.unique(torch.cat([*map(torch.ravel, used)])))
        for part, other in zip(as_items(batch)._replace(needed=None), expected, strict=True):
            assert part is other or torch.equal(part, other)


@pytest.mark.parametrize(("n_items", "listed"), [(34, False), (1000, True)])
def test_a_batch_that_needs_much_of_the_catalogue_takes_all_of_it(n_items, listed):
    for batch in sampler([5, 9, 20], n_negatives=3, batch_size=9, n_items=n_items):
        assert (batch.needed is not None) == listed
    assert all(batch.needed is None for batch in sampler([5, 9, 20], n_items=1000))


def test_more_negatives_than_items_means_all_items():
    for batch in sampler([5] * 4, n_negatives=27, n_items=20):
        assert batch.negative is None and batch.target_index is batch.target


@given(st.lists(st.integers(0, 5), max_size=6), st.data())
def test_pad_sequences(lengths, data):
    items = np.arange(1, 21)
    start = np.array([data.draw(st.integers(0, 20 - n)) for n in lengths], dtype=np.int64)
    padded, position = pad_sequences(items, start, np.array(lengths, dtype=np.int64))
    expected = np.zeros((len(lengths), max(lengths, default=0)), np.int64)
    for row, begin, n in zip(expected, start, lengths, strict=True):
        row[:n] = items[begin : begin + n]
    np.testing.assert_array_equal(padded, expected)
    np.testing.assert_array_equal(position, np.flatnonzero(expected))


WEIGHTS = np.arange(1, 35, dtype=np.float32)


@pytest.mark.gpu
def test_batches_on_cuda():
    for batch, expected in zip(
        sampler([5, 9, 20], n_negatives=3, weights=WEIGHTS, device="cuda"),
        sampler([5, 9, 20], n_negatives=3, weights=WEIGHTS),
        strict=True,
    ):
        for part, other in zip(batch, expected, strict=True):
            assert part is other or (part.is_cuda and torch.equal(part.cpu(), other))
