import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import log_softmax

from recsk.models.mde.temperature import HIGHEST_TEMPERATURE, HeldOutTemperature

N_USERS, N_ITEMS = 500, 800


def unit(rng, n, width=8):
    x = rng.normal(size=(n, width))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def planted(temperature, n_items=N_ITEMS, seed=0):
    """Vectors, a fifth of all items that is seen, and one held-out item of each user.

    It is drawn from the softmax over what the user has not seen.
    """
    rng = np.random.default_rng(seed)
    users, items = unit(rng, N_USERS), unit(rng, n_items)
    seen = rng.random((N_USERS, n_items)) < 0.2
    scores = np.where(seen, -np.inf, (users @ items.T).astype(float) / temperature)
    drawn = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    held_out = np.zeros_like(seen)
    held_out[np.arange(N_USERS), drawn] = True
    return users, items, *(sp.csr_matrix(x.astype(np.float32)) for x in (seen, held_out))


def naive(users, items, seen, held_out):
    """The best temperature by trying many, over the whole catalogue."""
    scores = (users @ items.T).astype(float)
    scores[seen.toarray() > 0] = -np.inf
    u, i = held_out.nonzero()
    grid = np.geomspace(0.02, 0.2, 60)
    losses = [-log_softmax(scores / temperature, axis=1)[u, i].mean() for temperature in grid]
    return grid[np.argmin(losses)]


def limit(follow, users, items, start=0.2):
    for _ in range(20):
        start = follow.next(start, users, items)
    return start


@pytest.mark.parametrize("temperature", [0.03, 0.06, 0.12])
def test_it_moves_to_the_best_temperature_and_a_margin(temperature):
    problem = planted(temperature)
    best = naive(*problem)
    assert best == pytest.approx(temperature, rel=0.15)
    users, items, seen, held_out = problem
    # All items are among the negatives.
    found = limit(HeldOutTemperature(seen, held_out, seed=0), users, items)
    assert found == pytest.approx(min(1.3 * best, 0.2), rel=0.06)


def test_a_sample_of_negatives_stands_for_all_items():
    users, items, seen, held_out = planted(0.1, n_items=4000)
    follow = HeldOutTemperature(seen, held_out, seed=0)
    assert len(follow.negatives) == 1000
    assert limit(follow, users, items) == pytest.approx(1.3 * 0.1, rel=0.15)


def test_each_step_goes_half_of_the_way():
    users, items, seen, held_out = planted(0.05)
    follow = HeldOutTemperature(seen, held_out, seed=0)
    end = limit(follow, users, items)
    for start in (0.2, 0.1, 0.03):
        assert follow.next(start, users, items) == pytest.approx(np.sqrt(start * end), rel=1e-3)


@pytest.mark.parametrize("temperature", [0.3, 1e6])
def test_noisy_interactions_keep_the_highest(temperature):
    users, items, seen, held_out = planted(temperature)
    follow = HeldOutTemperature(seen, held_out, seed=0)
    assert limit(follow, users, items) == pytest.approx(HIGHEST_TEMPERATURE, rel=0.02)
    assert follow.next(HIGHEST_TEMPERATURE, users, items) <= HIGHEST_TEMPERATURE


def test_one_of_several_held_out_items_of_users_that_have_some():
    seen = sp.csr_matrix((6, 10), dtype=np.float32)
    held_out = np.arange(60).reshape(6, 10) % 7 == 1
    held_out[3] = False
    held_out = sp.csr_matrix(held_out.astype(np.float32))
    follow = HeldOutTemperature(seen, held_out, seed=0)
    np.testing.assert_array_equal(follow.users, [0, 1, 2, 4, 5])
    assert (held_out.toarray()[follow.users, follow.positives] == 1).all()
    np.testing.assert_array_equal(follow.negatives, np.arange(10))
    # The positive is no negative, and neither is what has been seen.
    assert (follow.excluded == (follow.positives[:, None] == np.arange(10))).all()


def test_users_who_have_seen_all_sampled_negatives_do_not_count():
    users, items, seen, held_out = planted(0.05)
    follow = HeldOutTemperature(seen, held_out, seed=0)
    expected = limit(follow, users, items)
    # A copy of each user who has seen all but the held-out item.
    all_seen = sp.csr_matrix(1 - held_out.toarray())
    double = HeldOutTemperature(sp.vstack([seen, all_seen]).tocsr(), held_out, seed=0)
    double.users = np.r_[follow.users, N_USERS + follow.users]
    double.positives = np.r_[follow.positives, follow.positives]
    double.excluded = np.r_[follow.excluded, np.ones_like(follow.excluded)]
    assert limit(double, np.r_[users, users], items) == pytest.approx(expected, rel=1e-6)


def test_without_anything_to_compare_the_temperature_stays(recwarn):
    users, items, _, held_out = planted(0.05)
    all_seen = sp.csr_matrix(np.ones((N_USERS, N_ITEMS), np.float32))
    for seen, watched in (
        (all_seen, held_out),
        (sp.csr_matrix(held_out.shape), sp.csr_matrix(held_out.shape)),
    ):
        assert HeldOutTemperature(seen, watched, seed=0).next(0.17, users, items) == 0.17
    assert not recwarn.list


def test_the_seed_decides():
    users, items, seen, held_out = planted(0.1, n_items=4000)
    one, again, other = (HeldOutTemperature(seen, held_out, seed).next for seed in (1, 1, 2))
    assert one(0.2, users, items) == again(0.2, users, items) != other(0.2, users, items)


def test_vectors_stay():
    users, items, seen, held_out = planted(0.1)
    before = users.copy(), items.copy()
    HeldOutTemperature(seen, held_out, seed=0).next(0.2, users, items)
    np.testing.assert_array_equal(users, before[0])
    np.testing.assert_array_equal(items, before[1])
