import numpy as np
import pytest
import torch

from recsk.nn.sampling import InteractionSampler

N_USERS, N_ITEMS = 12, 30


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def sampler(request):
    """A factory of samplers of 200 interactions; the last user has 20 of them."""
    R = np.zeros((N_USERS, N_ITEMS), dtype=bool)
    R[-1, :20] = True
    R.reshape(-1)[np.random.default_rng(0).choice(R[:-1].size, 180, replace=False)] = True

    def make(seed=0, n_items=N_ITEMS, batch_size=32, **options):
        user, item = (torch.as_tensor(x, device=request.param) for x in R.nonzero())
        generator = torch.Generator(request.param).manual_seed(seed)
        return InteractionSampler(
            user, item, n_items=n_items, batch_size=batch_size, generator=generator, **options
        )

    make.R = R
    return make


def epoch(batches):
    return [[None if x is None else x.cpu().numpy() for x in batch] for batch in batches]


@pytest.mark.parametrize("n_shared", [None, 10])
@pytest.mark.parametrize("batch_size", [1, 32, 40, 1000])
def test_an_epoch_has_every_interaction_once(sampler, batch_size, n_shared):
    batches = sampler(batch_size=batch_size, n_shared=n_shared)
    orders = []
    for _ in range(2):
        drawn = epoch(batches)
        assert len(drawn) == len(batches) == -(-200 // batch_size)
        assert [len(user) for user, *_ in drawn[:-1]] == [batch_size] * (len(drawn) - 1)
        user, item = (np.concatenate([batch[x] for batch in drawn]) for x in (0, 1))
        np.testing.assert_array_equal(sorted(zip(user, item, strict=True)), np.argwhere(sampler.R))
        orders.append((user * N_ITEMS + item).tolist())
    assert orders[0] != orders[1] and sorted(orders[0]) not in orders


@pytest.mark.parametrize("n_shared", [None, 10])
def test_the_seed_of_the_generator_decides_the_draws(sampler, n_shared):
    def flat(seed):
        batches = sampler(seed, n_shared=n_shared)
        return [part.tolist() for _ in range(2) for batch in epoch(batches) for part in batch[:3]]

    assert flat(1) == flat(1) != flat(2)


def test_negatives_are_items_that_the_user_has_not_seen(sampler):
    # After 50 redraws a negative of the last user is a seen item with probability (2/3)^51.
    batches = sampler(n_redraws=50)
    for _ in range(5):
        for user, positive, negative, *_ in epoch(batches):
            assert negative.shape == positive.shape
            assert not sampler.R[user, negative].any()


def test_share_of_seen_negatives_with_the_default_redraws(sampler):
    user = torch.full((20_000,), N_USERS - 1, device=sampler().user.device)
    seen_share = sampler.R[-1, sampler().draw_negatives(user).cpu()].mean()
    share = sampler.R[-1].mean()
    assert seen_share == pytest.approx(share**5, rel=0.1)  # one draw and four redraws


def test_negatives_are_uniform_over_the_unseen_items(sampler):
    batches = sampler(n_redraws=30)
    user = torch.full((20_000,), N_USERS - 1, device=batches.user.device)
    counts = np.bincount(batches.draw_negatives(user).cpu(), minlength=N_ITEMS)
    unseen = np.flatnonzero(~sampler.R[-1])
    expected = 20_000 / len(unseen)
    chi_square = ((counts[unseen] - expected) ** 2 / expected).sum()
    assert chi_square < len(unseen) - 1 + 5 * np.sqrt(2 * (len(unseen) - 1))


def test_a_user_who_has_seen_all_items(sampler):
    batches = InteractionSampler(
        torch.zeros(3, dtype=torch.int64),
        torch.arange(3),
        n_items=3,
        batch_size=3,
        generator=torch.Generator().manual_seed(0),
    )
    ((_, _, negative, *_),) = epoch(batches)
    assert set(negative) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("n_shared", "n_items", "size"),
    [
        (10, 30, 10),
        (30, 30, 30),
        (100, 30, 30),  # at most the catalogue
        (10, 10_000, 10),
    ],
)
def test_shared_negatives(sampler, n_shared, n_items, size):
    drawn = [batch[2] for batch in epoch(sampler(n_shared=n_shared, n_items=n_items))]
    for negative in drawn:
        assert negative.shape == (size,)
        assert negative.min() >= 0 and negative.max() < n_items
        assert len(set(negative)) == size
    if size < n_items:
        assert len({tuple(sorted(negative)) for negative in drawn}) == len(drawn)  # new every batch


def test_positive_index_is_the_position_of_the_positive_among_the_shared_negatives(sampler):
    n_found = 0
    for _, positive, negative, index, *_ in epoch(sampler(n_shared=25)):
        matches = positive[:, None] == negative
        np.testing.assert_array_equal(index >= 0, matches.any(axis=1))
        np.testing.assert_array_equal(negative[index[index >= 0]], positive[index >= 0])
        n_found += (index >= 0).sum()
    assert 0 < n_found < 200


@pytest.mark.parametrize("batch_size", [1, 32, 1000])
def test_batches_give_the_shared_negatives_that_each_user_has_seen(sampler, batch_size):
    n_seen = 0
    for batch in sampler(n_shared=25, exclude_seen=True, batch_size=batch_size):
        assert batch.positive_index is None
        distinct, user_index, seen = (x.cpu().numpy() for x in batch.seen)
        user, negative = batch.user.cpu().numpy(), batch.negative.cpu().numpy()
        np.testing.assert_array_equal(distinct, np.unique(user))
        np.testing.assert_array_equal(distinct[user_index], user)
        np.testing.assert_array_equal(seen, sampler.R[distinct][:, negative])
        n_seen += seen.sum()
    assert n_seen > 100


def test_batches_with_one_negative_per_interaction_exclude_nothing(sampler):
    assert all(batch.positive_index is None and batch.seen is None for batch in sampler())


@pytest.mark.parametrize("n_shared", [None, 10])
def test_each_interaction_has_its_weight(sampler, n_shared):
    # One for each interaction, and no longer one for each user: samples have weights.
    assert all(batch.weight is None for batch in sampler(n_shared=n_shared))
    weight = np.arange(N_USERS * N_ITEMS, dtype=np.float32).reshape(N_USERS, N_ITEMS)
    flat = torch.as_tensor(weight[sampler.R])
    batches = sampler(n_shared=n_shared)
    batches.weight = flat.to(batches.user.device)
    for user, item, _, _, batch_weight, *_ in epoch(batches):
        np.testing.assert_array_equal(batch_weight, weight[user, item])
    plain = epoch(sampler(n_shared=n_shared))  # weights draw nothing
    again = sampler(n_shared=n_shared)
    again.weight = batches.weight
    for one, other in zip(plain, epoch(again), strict=True):
        np.testing.assert_array_equal(np.c_[one[0], one[1]], np.c_[other[0], other[1]])
