from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recsk.features import check_item_features
from recsk.features.dense import fill_and_standardize
from recsk.nn.batches import Batch, SeenNegatives
from recsk.nn.mde import Graphs, MDENetwork
from recsk.nn.mde_nodes import WholeGraph
from recsk.nn.mde_objective import MDEObjective
from recsk.nn.modality import Modality
from recsk.nn.propagation import SparseOperator
from recsk.nn.sampling import InteractionSampler
from recsk.nn.training import train
from tests.nn import reference
from tests.nn.cuda import DEVICES, ForbidSynchronization, assert_close

U, I, D = 6, 8, 3  # noqa: E741
RNG = np.random.default_rng(0)
R = (RNG.random((U, I)) < 0.4).astype(float)
R[4], R[:, 5] = 0, 0  # a user and an item without interactions
FEATURES = [RNG.normal(size=(I, p)) for p in (4, 2, 5)]
PRESENT = [np.arange(I) % 4 != m for m in range(3)]  # items 0 and 4 lack modality 0, and so on
WEIGHTS = {
    "score_temperature": 0.3,
    "score_scale": 4.0,
    "modality_weight": 0.7,
    "alpha": 0.4,
    "beta": 0.6,
    "reg_lambda": 0.2,
    "temperature": 0.5,
    "max_alignment": 5,
}


@dataclass
class Problem:
    """The settings that the reference and the network share."""

    n_modalities: int = 2
    id_embedding: str = "none"
    preference: str = "learned"
    tradeoff: str = "preference"
    similarity: str = "dot"
    fusion: str = "concat"
    normalize: bool = True
    hidden: int = 4
    n_layers: int = 2
    user_neighbors: int = 2
    item_neighbors: int = 2
    id_shrinkage: float = 1.5
    weigh_items: bool = True
    R = R

    @property
    def features(self):
        return FEATURES[: self.n_modalities]

    @property
    def present(self):
        return PRESENT[: self.n_modalities]

    def network(self, device="cpu", seed=0, initial=False):
        """A network on the reference's graphs, with random parameters unless `initial`."""

        def operator(graph, **options):
            return SparseOperator(sp.csr_array(graph), torch.device(device), **options)

        items = [
            operator(reference.item_graph(F, self.item_neighbors, present))
            for F, present in zip(self.features, self.present, strict=True)
        ]
        users = reference.user_graph(R, max(self.user_neighbors, 1))
        fixed = np.arange(1, max(self.n_modalities, 1) + 1, dtype=np.float32)
        generator = torch.Generator().manual_seed(seed)
        n_of_items = R.sum(axis=0, dtype=np.float32)[:, None]
        network = MDENetwork(
            [
                Modality(
                    torch.as_tensor(F, dtype=torch.float32, device=device),
                    torch.as_tensor(present[:, None], dtype=torch.float32, device=device),
                )
                for F, present in zip(self.features, self.present, strict=True)
            ],
            Graphs(
                operator(reference.interaction_graph(R), symmetric=True),
                operator(users) if self.user_neighbors else None,
                items if self.item_neighbors and self.features else None,
            ),
            n_users=U,
            n_items=I,
            n_factors=D,
            n_layers=self.n_layers,
            hidden=self.hidden,
            normalize=self.normalize,
            fusion=self.fusion,
            similarity=self.similarity,
            id_embedding=self.id_embedding,
            id_share=torch.as_tensor(n_of_items / (n_of_items + self.id_shrinkage)),
            preference=torch.as_tensor(fixed / fixed.sum()) if self.preference == "fixed" else None,
            weigh_items=self.weigh_items,
            tradeoff=self.tradeoff,
            generator=generator,
        )
        if not initial:
            for parameter in network.parameters():
                parameter.data.normal_(generator=generator)
        return network.to(device)


def parameters_of(network):
    return {name: x.cpu().double().numpy() for name, x in network.state_dict().items()}


def batch_for(ranking, seed=0):
    """Seven interactions in which a user and an item occur more than once.

    Returns user, positive, negative, excluded negatives and weight.
    """
    rng = np.random.default_rng(seed)
    user, positive = np.argwhere(R)[[0, 1, 1, 5, 6, 9, 12]].T
    weight = (1 + user / U).astype(np.float32)
    if ranking == "bpr":
        return user, positive, rng.integers(0, I, 7), None, weight
    negative = np.array([positive[0], 5, 7, 2])  # shared; one of them is a positive
    return user, positive, negative, R[user][:, negative] > 0, weight


def terms_of(network, ranking="bpr", **weights):
    objective = MDEObjective(
        network, WholeGraph(network), ranking=ranking, **{**WEIGHTS, **weights}
    )
    device = network.user.device
    user, positive, negative, excluded, weight = batch_for(ranking)
    seen = None
    if excluded is not None:
        _, first, user_index = np.unique(user, return_index=True, return_inverse=True)
        arrays = user[first], user_index, excluded[first]
        seen = SeenNegatives(*(torch.as_tensor(x, device=device) for x in arrays))
    tensors = [torch.as_tensor(x, device=device) for x in (user, positive, negative, weight)]
    return objective(Batch(*tensors[:3], weight=tensors[3], seen=seen))


def assert_same(actual, expected):
    np.testing.assert_allclose(actual.detach().cpu(), expected, rtol=1e-5, atol=1e-5)


def variants():
    """Every combination of the main switches; the values of the other switches alternate."""
    alternating = {
        "fusion": ["concat", "sum"],
        "normalize": [True, True, False],
        "hidden": [4, 0, 4, 4, 0],
        "n_layers": [2, 1, 0, 3, 2, 1, 2],
        "user_neighbors": [2, 0, 2, 3, 1, 0, 2, 2, 3, 4, 1],
        "weigh_items": [True, False, False, True],
        "item_neighbors": [2, 2, 3, 0, 1, 2, 3, 1, 0, 2, 1, 3, 2],
    }
    for i, (m, ids, preference, tradeoff, similarity) in enumerate(
        product(
            [1, 2, 3],
            ["none", "add", "gate"],
            ["learned", "fixed"],
            ["preference", "uniform", "independent"],
            ["dot", "cosine"],
        )
    ):
        others = {name: values[i % len(values)] for name, values in alternating.items()}
        yield Problem(m, ids, preference, tradeoff, similarity, **others)
    yield Problem(0)
    yield Problem(0, similarity="cosine", user_neighbors=0, normalize=False)


def describe(problem):
    return "-".join(str(value) for value in vars(problem).values())


@pytest.mark.parametrize("problem", list(variants()), ids=describe)
def test_every_equation(problem):
    network = problem.network()
    p = parameters_of(network)
    for actual, expected in zip(network(), reference.forward(p, problem), strict=True):
        assert_same(actual, expected)
    for actual, expected in zip(
        network.preferences(), reference.preferences(p, problem), strict=True
    ):
        assert_same(actual, expected)
    for actual, expected in zip(
        network.embeddings(), reference.embeddings(p, problem), strict=True
    ):
        assert_same(actual, expected)
    for ranking in ("bpr", "softmax"):
        terms = terms_of(network, ranking)
        expected = reference.objective(
            p, problem, batch_for(ranking), WEIGHTS | {"ranking": ranking}
        )
        assert terms.keys() == expected.keys()
        for name, term in terms.items():
            assert_same(term, expected[name])


GRADIENTS = [
    Problem(),
    Problem(1, "gate", tradeoff="independent"),
    Problem(2, "add", similarity="cosine", fusion="sum", hidden=0),
    Problem(2, "gate", "fixed", "independent", normalize=False),
    Problem(3, "gate", "learned", "independent", "cosine"),
    Problem(3, "add", "learned", "preference", "dot", "sum"),
    Problem(3, "none", "fixed", "uniform", "cosine"),
    Problem(2, weigh_items=False),
    Problem(0),
]


@pytest.mark.parametrize("ranking", ["bpr", "softmax"])
@pytest.mark.parametrize("problem", GRADIENTS, ids=describe)
def test_gradient_of_every_parameter(problem, ranking):
    """Compare with central differences of the reference, along a random direction of each."""
    network = problem.network()
    sum(terms_of(network, ranking).values()).backward()
    p, rng, step = parameters_of(network), np.random.default_rng(0), 1e-5

    def loss(p):
        terms = reference.objective(p, problem, batch_for(ranking), WEIGHTS | {"ranking": ranking})
        return sum(terms.values())

    for name, parameter in network.named_parameters():
        direction = rng.normal(size=parameter.shape)
        ahead = loss(p | {name: p[name] + step * direction})
        behind = loss(p | {name: p[name] - step * direction})
        grad = parameter.grad
        along = 0 if grad is None else (grad.double().numpy() * direction).sum()
        assert along == pytest.approx((ahead - behind) / (2 * step), rel=1e-3, abs=1e-5), name


def test_no_features_and_no_user_graph_is_lightgcn():
    problem = Problem(0, user_neighbors=0, normalize=False)
    network = problem.network()
    p = parameters_of(network)
    nodes = reference.propagate(
        reference.interaction_graph(R), np.concatenate([p["user"], p["item"]]), 2
    )
    users, items = network.embeddings()
    assert_same(users, nodes[:U])
    assert_same(items, nodes[U:])
    assert set(terms_of(network)) == {"ranking", "regularization"}


@pytest.mark.parametrize(
    ("weight", "term"),
    [
        ("modality_weight", "modality_ranking"),
        ("alpha", "difference"),
        ("beta", "alignment"),
        ("reg_lambda", "regularization"),
    ],
)
def test_a_weight_of_zero_removes_its_term_and_keeps_the_others(weight, term):
    network = Problem(3).network()
    full, without = terms_of(network), terms_of(network, **{weight: 0})
    assert full.keys() - without.keys() == {term}
    for name in without:
        assert without[name] == full[name]
    doubled = terms_of(network, **{weight: 2 * WEIGHTS[weight]})[term]
    torch.testing.assert_close(doubled, 2 * full[term])


@pytest.mark.parametrize("seed", [0, 1])
def test_learned_preferences_start_even(seed):
    for preference in Problem(3).network(seed=seed, initial=True).preferences():
        assert_same(preference, np.full(preference.shape, 1 / 3))


def test_the_seed_decides_the_initial_weights():
    problem = Problem(2, "gate")
    first, again, other = (parameters_of(problem.network(seed=s, initial=True)) for s in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        # The preferences start even, whatever the seed.
        assert (first[name] != other[name]).any() or not first[name].any(), name


def with_features(problem, features, standardize=False):
    """A network with these features, in which NaN rows mark missing items."""
    network = problem.network()
    checked = check_item_features({str(m): F for m, F in enumerate(features)}, I)
    network.modalities = [
        Modality(torch.as_tensor(values), torch.as_tensor(present[:, None]).float())
        for values, present in (
            fill_and_standardize(F, standardize=standardize) for F in checked.values()
        )
    ]
    return network


def features_without(missing):
    features = [F.copy() for F in FEATURES[:2]]
    for m, items in enumerate(missing):
        features[m][items] = np.nan
    return features


@pytest.mark.parametrize("id_embedding", ["none", "add", "gate"])
def test_missing_items_never_reach_the_initial_vectors_of_others(id_embedding):
    problem = Problem(2, id_embedding)
    before = with_features(problem, features_without([[1], []])).initial_nodes()
    after = with_features(problem, features_without([[1, 3], [3, 6]])).initial_nodes()
    changed = set((before != after).any(dim=1).nonzero().ravel().tolist())
    assert changed == {U + 3, U + 6}

    # The features of a missing item have no effect.
    network = problem.network()
    before = network.initial_nodes()
    for features, present in network.modalities:
        features[present[:, 0] == 0] = 1e6
    assert torch.equal(network.initial_nodes(), before)


@pytest.mark.parametrize("problem", GRADIENTS[:6], ids=describe)
@pytest.mark.parametrize("ranking", ["bpr", "softmax"])
def test_missing_features_never_cause_nan(problem, ranking):
    problem = replace(problem, n_modalities=2)
    # Item 5 has neither features nor interactions; items 1 and 2 lack one modality.
    network = with_features(problem, features_without([[1, 5], [2, 5]]), standardize=True)
    for vectors in (*network(), *network.embeddings(), *network.fold_in_parts().values()):
        assert torch.isfinite(vectors).all()
    terms = terms_of(network, ranking)
    assert all(torch.isfinite(term) for term in terms.values())
    sum(terms.values()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


@pytest.mark.gpu
@pytest.mark.parametrize("ranking", ["bpr", "softmax"])
@pytest.mark.parametrize("problem", GRADIENTS, ids=describe)
def test_cuda_matches_the_cpu(problem, ranking):
    results = []
    for device in ("cpu", "cuda"):
        network = problem.network(device)
        terms = terms_of(network, ranking)
        sum(terms.values()).backward()
        grads = {n: x.grad for n, x in network.named_parameters() if x.grad is not None}
        results.append({**terms, **grads})
    assert_close(*results)


def fit(problem, ranking, device="cpu", wrap=lambda batches: batches, **options):
    network = problem.network(device, initial=True)
    user, item = (torch.as_tensor(x, device=device) for x in R.nonzero())
    batches = InteractionSampler(
        user,
        item,
        n_items=I,
        batch_size=4,
        n_shared=3 if ranking == "softmax" else None,
        exclude_seen=True,
        generator=torch.Generator(device).manual_seed(0),
    )
    objective = MDEObjective(network, WholeGraph(network), ranking=ranking, **WEIGHTS)
    return network, train(network, wrap(batches), objective, learning_rate=0.02, **options)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("ranking", ["bpr", "softmax"])
@pytest.mark.parametrize("problem", GRADIENTS, ids=describe)
def test_training_lowers_the_loss_and_is_reproducible(problem, ranking, device):
    network, log = fit(problem, ranking, device, max_epochs=8)
    total = np.sum(list(log.loss_curve.values()), axis=0)
    assert total[-3:].mean() < total[:3].mean()
    again, _ = fit(problem, ranking, device, max_epochs=8)
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@pytest.mark.gpu
@pytest.mark.parametrize("ranking", ["bpr", "softmax"])
@pytest.mark.parametrize("problem", GRADIENTS, ids=describe)
def test_an_epoch_never_waits_for_the_device(problem, ranking):
    _, log = fit(problem, ranking, "cuda", ForbidSynchronization, max_epochs=3)
    assert log.n_iter == 3
