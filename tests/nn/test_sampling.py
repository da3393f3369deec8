import numpy as np
import pytest
import torch

from recsk.nn.sampling import InteractionSampler

N_USERS, N_ITEMS = 12, 30


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def sampler(request):
    """A function from options to a sampler of 200 interactions, 20 of them the last user's."""
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
def test_the_generator_decides(sampler, n_shared):
    def flat(seed):
        batches = sampler(seed, n_shared=n_shared)
        return [part.tolist() for _ in range(2) for batch in epoch(batches) for part in batch[:3]]

    assert flat(1) == flat(1) != flat(2)


def test_negatives_are_items_that_the_user_has_not_met(sampler):
    # With so many redraws a met one is left in (2/3)^51 of the draws of the last user.
    batches = sampler(n_redraws=50)
    for _ in range(5):
        for user, positive, negative, *_ in epoch(batches):
            assert negative.shape == positive.shape
            assert not sampler.R[user, negative].any()


def test_how_many_met_ones_the_default_leaves(sampler):
    user = torch.full((20_000,), N_USERS - 1, device=sampler().user.device)
    left = sampler.R[-1, sampler().negatives(user).cpu()].mean()
    share = sampler.R[-1].mean()
    assert left == pytest.approx(share**5, rel=0.1)  # the first draw and four more


def test_negatives_are_uniform_over_what_was_not_met(sampler):
    batches = sampler(n_redraws=30)
    user = torch.full((20_000,), N_USERS - 1, device=batches.user.device)
    counts = np.bincount(batches.negatives(user).cpu(), minlength=N_ITEMS)
    free = np.flatnonzero(~sampler.R[-1])
    expected = 20_000 / len(free)
    chi_square = ((counts[free] - expected) ** 2 / expected).sum()
    assert chi_square < len(free) - 1 + 5 * np.sqrt(2 * (len(free) - 1))


def test_a_user_who_met_everything(sampler):
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
        (100, 30, 30),  # never more than there are
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


def test_where_the_item_itself_is_among_the_shared_ones(sampler):
    n_own = 0
    for _, positive, negative, own, *_ in epoch(sampler(n_shared=25)):
        is_own = positive[:, None] == negative
        np.testing.assert_array_equal(own >= 0, is_own.any(axis=1))
        np.testing.assert_array_equal(negative[own[own >= 0]], positive[own >= 0])
        n_own += (own >= 0).sum()
    assert 0 < n_own < 200


@pytest.mark.parametrize("batch_size", [1, 32, 1000])
def test_which_shared_items_were_met(sampler, batch_size):
    n_met = 0
    for batch in sampler(n_shared=25, exclude_met=True, batch_size=batch_size):
        assert batch.own is None
        met = [x.cpu().numpy() for x in batch.met]
        user, negative = batch.user.cpu().numpy(), batch.negative.cpu().numpy()
        np.testing.assert_array_equal(met[0], np.unique(user))
        np.testing.assert_array_equal(met[0][met[1]], user)
        np.testing.assert_array_equal(met[2], sampler.R[met[0]][:, negative])
        n_met += met[2].sum()
    assert n_met > 100


def test_one_negative_each_needs_no_exclusion(sampler):
    assert all(batch.own is None and batch.met is None for batch in sampler())


@pytest.mark.parametrize("n_shared", [None, 10])
def test_weights_are_those_of_the_users(sampler, n_shared):
    assert all(batch.weight is None for batch in sampler(n_shared=n_shared))
    weight = np.arange(N_USERS, dtype=np.float32)
    batches = sampler(n_shared=n_shared)
    batches.weight = torch.as_tensor(weight, device=batches.user.device)
    for user, *_, own, _ in epoch(batches):
        np.testing.assert_array_equal(own, weight[user])
