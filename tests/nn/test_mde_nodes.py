from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recsk.nn.mde_nodes import CachedGraph, WholeGraph
from recsk.nn.mde_objective import MDEObjective
from recsk.nn.propagation import SparseOperator
from recsk.nn.user_batches import UserBatches
from tests.nn import reference
from tests.nn.cuda import DEVICES
from tests.nn.test_mde import WEIGHTS, I, Problem, R, U, describe

# A log in which some interactions weigh more than others.
WEIGHTED = R * np.random.default_rng(1).choice([0.5, 1, 3], size=R.shape)
NEGATIVES = [
    {"n_shared": 3, "exclude_seen": True},
    {"n_shared": I, "exclude_seen": True},
    {"n_shared": 3},
    {},
    {"n_shared": 1, "exclude_seen": True},
]


def variants():
    """Every combination of what decides the nodes; the values of the rest alternate."""
    alternating = {
        "user_neighbors": [0, 2, 0, 2, 3],
        "item_neighbors": [2, 0, 2],
        "normalize": [True, True, True, True, False],
        "hidden": [0, 4],
    }
    for i, (m, ids, n_layers, tradeoff, preference) in enumerate(
        product(
            [0, 1, 2, 3],
            ["none", "add", "gate"],
            [0, 1, 2],
            ["preference", "independent"],
            ["learned", "fixed"],
        )
    ):
        others = {name: values[i % len(values)] for name, values in alternating.items()}
        problem = Problem(m, ids, preference, tradeoff, "cosine", n_layers=n_layers, **others)
        yield problem, NEGATIVES[i % len(NEGATIVES)]


def made(problem, weighted=False, device="cpu"):
    """A network with random weights, and the graph of interactions that it has."""
    network, graph = problem.network(device), reference.interaction_graph(R)
    if weighted:
        graph = reference.interaction_graph(WEIGHTED)
        operator = SparseOperator(sp.csr_array(graph), torch.device(device), symmetric=True)
        network.graphs = network.graphs._replace(interaction=operator)
    return network, graph


def batches_of(graph, batch_size=6, seed=0, device="cpu", **options):
    user, item = (torch.as_tensor(ids, device=device) for ids in R.nonzero())
    affinity = torch.as_tensor(graph[:U, U:][R > 0], dtype=torch.float32, device=device)
    generator = torch.Generator(device).manual_seed(seed)
    return UserBatches(
        user,
        item,
        affinity,
        n_items=I,
        batch_size=batch_size,
        generator=generator,
        **options,
    )


def assert_same_nodes(actual, expected):
    for name in ("vectors", "preferences", "tradeoffs"):
        one, other = getattr(actual, name), getattr(expected, name)
        if name != "tradeoffs":
            one, other = actual.select(one), expected.select(other)
        assert len(one) == len(other), name
        for a, b in zip(one, other, strict=True):
            assert a.shape == b.shape, name
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    squares = [sum(x.square().sum() for x in nodes.learned) for nodes in (actual, expected)]
    torch.testing.assert_close(*squares, rtol=1e-5, atol=1e-5)


def gradients(network):
    """Dense gradients by name, and zeros without one; they are forgotten."""
    grads = {
        name: torch.zeros_like(x) if x.grad is None else x.grad.to_dense()
        for name, x in network.named_parameters()
    }
    network.zero_grad()
    return grads


@pytest.mark.parametrize("weighted", [False, True])
def test_nodes_are_those_of_the_whole_graph_with_new_constants(weighted):
    for problem, options in variants():
        network, graph = made(problem, weighted)
        cached, whole = CachedGraph(network, period=1), WholeGraph(network)
        for batch in batches_of(graph, **options):
            assert_same_nodes(cached(batch), whole(batch))


@pytest.mark.parametrize("problem", [Problem(), Problem(3, "gate", tradeoff="independent")])
def test_vectors_of_the_whole_graph_are_rows_of_the_network(problem):
    network, graph = made(problem)
    (users, items), preferences = network(), network.preferences()
    for options in NEGATIVES:
        for batch in batches_of(graph, **options):
            nodes = WholeGraph(network)(batch)
            distinct = batch.user if batch.seen is None else batch.seen.user
            for side, table in ((nodes.vectors, (users, items)), (nodes.preferences, preferences)):
                assert torch.equal(side[0], table[0][distinct])
                assert torch.equal(side[1], table[1][batch.positive])
                assert torch.equal(side[2], table[1][batch.negative])


def tensors_of(nodes):
    return [*nodes.select(nodes.vectors), *nodes.select(nodes.preferences), *nodes.tradeoffs]


def slopes_for(nodes):
    """A fixed random direction for each tensor of the nodes."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(x.shape, generator=generator).to(x.device) for x in tensors_of(nodes)]


def dot(nodes, slopes):
    total = sum((x * slope).sum() for x, slope in zip(tensors_of(nodes), slopes, strict=True))
    return total + sum(x.square().sum() for x in nodes.learned)


def with_own_gradients(network, graph, batch):
    """The nodes of the whole graph, in which all but own vectors and histories is detached."""
    initial = network.initial_nodes()
    moving = initial - initial.detach()  # zero, with the gradient of the vectors
    users, items = (nodes.flatten(1).detach() for nodes in network())
    own = 1 / (network.n_layers + 1)
    users, items = users + own * moving[:U], items + own * moving[U:]
    if network.n_layers:
        affinity = torch.as_tensor(graph[:U, U:], dtype=torch.float32)
        users = users + own * affinity @ moving[U:]
    shape = -1, network.n_modalities, network.n_factors
    users, items = users.view(shape), items.view(shape)
    distinct = batch.user if batch.seen is None else batch.seen.user
    vectors = users[distinct], items[batch.positive], items[batch.negative]
    return WholeGraph(network)(batch)._replace(vectors=vectors)


def test_gradients_reach_the_own_vectors_and_those_of_histories():
    for problem, options in variants():
        network, graph = made(problem, weighted=True)
        cached = CachedGraph(network, period=100)
        for batch in batches_of(graph, **options):
            nodes = cached(batch)
            slopes = slopes_for(nodes)
            dot(nodes, slopes).backward()
            actual = gradients(network)
            dot(with_own_gradients(network, graph, batch), slopes).backward()
            for name, expected in gradients(network).items():
                torch.testing.assert_close(
                    actual[name], expected, rtol=1e-4, atol=1e-4, msg=f"{problem}: {name}"
                )


def test_gradients_are_of_the_rows_of_the_batch():
    network, graph = made(Problem(2, "add", tradeoff="independent"))
    for batch in batches_of(graph, **NEGATIVES[0]):
        network.zero_grad()
        nodes = CachedGraph(network, 1)(batch)
        dot(nodes, slopes_for(nodes)).backward()
        for name, parameter in network.named_parameters():
            if name.startswith(("user", "item")):
                rows = batch.rows.user if name.startswith("user") else batch.rows.item
                assert torch.equal(parameter.grad.coalesce().indices()[0], rows.sort().values), name


@pytest.mark.parametrize("period", [1, 2, 3])
def test_constants_are_those_of_the_last_refresh(period):
    network, graph = made(Problem(2, "add", user_neighbors=2))
    cached, batches = CachedGraph(network, period), batches_of(graph, batch_size=4, n_shared=3)
    own = 1 / (network.n_layers + 1)
    affinity = torch.as_tensor(graph[:U, U:], dtype=torch.float32)

    def near():
        """What a step computes itself: own vectors and those of histories."""
        initial = network.initial_nodes()
        return own * torch.cat([initial[:U] + affinity @ initial[U:], initial[U:]])

    n_steps = 0
    with torch.no_grad():
        for _ in range(3):
            for batch in batches:
                if n_steps % period == 0:
                    constants = torch.cat([x.flatten(1) for x in network()]) - near()
                n_steps += 1
                nodes = (near() + constants).view(U + I, 2, -1)
                of_batch = cached(batch)
                for actual, ids in zip(
                    of_batch.select(of_batch.vectors),
                    (batch.user, U + batch.positive, U + batch.negative),
                    strict=True,
                ):
                    torch.testing.assert_close(actual, nodes[ids], rtol=1e-5, atol=1e-5)
                for parameter in network.parameters():
                    parameter.mul_(1.1).add_(0.1)
    assert n_steps > 2 * period


def test_restart_computes_the_constants_again():
    network, graph = made(Problem(2, "add"))
    cached, whole = CachedGraph(network, period=100), WholeGraph(network)
    batch = next(iter(batches_of(graph, n_shared=3)))
    with torch.no_grad():
        cached(batch)
        for parameter in network.parameters():
            parameter.normal_()
        assert not torch.allclose(cached(batch).vectors[0], whole(batch).vectors[0], atol=1e-3)
        cached.restart()
        assert_same_nodes(cached(batch), whole(batch))


OBJECTIVES = [
    Problem(),
    Problem(1, "gate", tradeoff="independent"),
    Problem(2, "add", similarity="cosine", fusion="sum", hidden=0),
    Problem(2, "gate", "fixed", "independent", normalize=False),
    Problem(3, "gate", "learned", "independent", "cosine", user_neighbors=0),
    Problem(3, "none", "fixed", "uniform", "cosine"),
    Problem(2, weigh_items=False),
    Problem(0),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("max_alignment", [2, 5, 100])
@pytest.mark.parametrize("options", NEGATIVES[:4], ids=str)
@pytest.mark.parametrize("problem", OBJECTIVES, ids=describe)
def test_the_objective_is_the_same_with_new_constants(problem, options, max_alignment, device):
    network, graph = made(problem, weighted=True, device=device)
    batches = batches_of(graph, device=device, **options)
    batches.weight = torch.linspace(0.5, 2, int(R.sum()), device=device)
    ranking = "softmax" if "n_shared" in options else "bpr"
    weights = {**WEIGHTS, "max_alignment": max_alignment}
    cached, whole = (
        MDEObjective(network, nodes, ranking=ranking, **weights)
        for nodes in (CachedGraph(network, period=1), WholeGraph(network))
    )
    for batch in batches:
        actual, expected = cached(batch), whole(batch)
        assert actual.keys() == expected.keys()
        for name, term in actual.items():
            torch.testing.assert_close(term, expected[name], rtol=1e-5, atol=1e-5)
