import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recsk import MDERecommender
from recsk.models.mde.fold_in import FoldIn, fuse
from recsk.nn.mde import Graphs, MDENetwork
from recsk.nn.propagation import SparseOperator
from tests.nn import reference

U, I, D = 9, 12, 4  # noqa: E741
RNG = np.random.default_rng(0)
R = (RNG.random((U, I)) < 0.35).astype(np.float32)
R[3], R[:, 7] = 0, 0  # a cold user and a cold item
KNOWN = R.any(axis=1)
HISTORIES = (RNG.random((5, I)) < 0.4).astype(np.float32)
HISTORIES[2] = 0
HISTORIES[3] = np.arange(I) == 7  # only the cold item
START = np.array([[0.5, 0.5, -0.5, 0.5]])


USER_GRAPHS = {"counts": reference.user_graph, "walks": reference.user_walks}


def model(n_layers=2, user_neighbors=2, alike=True, normalize=True, R=R, user_links="counts"):
    """A graph model, and the fold-in for it; all users start alike, or each anywhere."""

    def operator(graph):
        return SparseOperator(sp.csr_array(graph), torch.device("cpu"))

    network = MDENetwork(
        [],
        Graphs(
            operator(reference.interaction_graph(R)),
            operator(USER_GRAPHS[user_links](R, user_neighbors)) if user_neighbors else None,
            None,
        ),
        n_users=U,
        n_items=I,
        n_factors=D,
        n_layers=n_layers,
        hidden=0,
        normalize=normalize,
        fusion="concat",
        similarity="dot",
        id_embedding="none",
        id_share=torch.ones(I, 1),
        preference=None,
        weigh_items=True,
        tradeoff="uniform",
        generator=torch.Generator().manual_seed(0),
    )
    if alike:
        network.user.data[:] = torch.as_tensor(START if normalize else 0.2 * START)
    fold = FoldIn(
        sp.csr_matrix(R),
        **{name: x.numpy() for name, x in network.fold_in_parts().items()},
        preference_logits=network.user_preference.detach().numpy(),
        n_layers=n_layers,
        user_neighbors=user_neighbors,
        max_degree=None,
        user_links=user_links,
        normalize=normalize,
    )
    return network, fold


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("n_layers", [0, 1, 2, 3])
def test_known_users_get_exactly_what_the_graph_gives_them(n_layers, normalize):
    # All users start alike, so there is nothing to guess but that.
    network, fold = model(n_layers, user_neighbors=0, normalize=normalize)
    users, logits = fold(sp.csr_matrix(R))
    expected = network.embeddings()[0].numpy()
    tolerance = 1e-5 if normalize else 0.02  # the length is part of the guess
    assert users.dtype == logits.dtype == np.float32
    np.testing.assert_allclose(users[KNOWN], expected[KNOWN], rtol=1e-4, atol=tolerance)
    np.testing.assert_allclose(logits, 0, atol=1e-6)


@pytest.mark.parametrize("user_links", ["counts", "walks"])
@pytest.mark.parametrize("user_neighbors", [0, 1, 3, 20])
@pytest.mark.parametrize("n_layers", [0, 1, 2, 3])
def test_new_users_get_what_their_items_and_their_like_send(n_layers, user_neighbors, user_links):
    network, fold = model(n_layers, user_neighbors, user_links=user_links)
    p = {name: x.double().numpy() for name, x in network.state_dict().items()}
    problem = SimpleNamespace(R=R, features=[], normalize=True)
    start = np.concatenate(reference.initial(p, problem))[:, 0]
    A = reference.interaction_graph(R)
    layers = [np.linalg.matrix_power(A, layer) @ start for layer in range(n_layers + 1)]
    among = np.zeros((5, U))
    if user_neighbors:
        among = USER_GRAPHS[user_links](HISTORIES, user_neighbors, R)

    users, _ = fold(sp.csr_matrix(HISTORIES))
    for new, history in enumerate(HISTORIES):
        total = START[0].copy()
        for layer in layers[:-1]:
            for i in np.flatnonzero(history):
                total += layer[U + i] / np.sqrt(history.sum() * max(R[:, i].sum(), 1))
        expected = total / (n_layers + 1)
        for v in range(U):
            expected = expected + among[new, v] * reference.propagate(A, start, n_layers)[v]
        if history.any():  # the estimator answers for an empty one itself
            np.testing.assert_allclose(users[new], expected, rtol=1e-4, atol=1e-5)
    assert np.isfinite(users).all()


W = R * RNG.lognormal(size=R.shape).astype(np.float32)
W[W > 0] /= W[W > 0].mean()


@pytest.mark.parametrize("user_neighbors", [0, 3])
@pytest.mark.parametrize("n_layers", [0, 2])
def test_new_users_get_what_items_send_through_a_weighted_graph(n_layers, user_neighbors):
    # Their own interactions count as one, and like users are those with the most common items.
    network, fold = model(n_layers, user_neighbors, R=W)
    p = {name: x.double().numpy() for name, x in network.state_dict().items()}
    problem = SimpleNamespace(R=W, features=[], normalize=True)
    start = np.concatenate(reference.initial(p, problem))[:, 0]
    A = reference.interaction_graph(W.astype(float))
    layers = [np.linalg.matrix_power(A, layer) @ start for layer in range(n_layers + 1)]
    users, _ = fold(sp.csr_matrix(HISTORIES))
    for new, history in enumerate(HISTORIES):
        if not history.any():
            continue
        expected = START[0] / (n_layers + 1)
        for layer in layers[:-1]:
            for i in np.flatnonzero(history):
                degree = W[:, i].sum() or 1
                expected = expected + layer[U + i] / np.sqrt(history.sum() * degree) / (
                    n_layers + 1
                )
        if user_neighbors:
            among = reference.user_graph(HISTORIES, user_neighbors, R)[new]
            expected = expected + among @ reference.propagate(A, start, n_layers)[:U]
        np.testing.assert_allclose(users[new], expected, rtol=1e-4, atol=1e-5)


def test_the_regression_reads_what_users_received_with_their_weights():
    # What was learned for users is what they received: nothing is left to correct.
    network, _ = model(user_neighbors=0, R=W)
    parts = {name: x.numpy() for name, x in network.fold_in_parts().items()}
    received = reference.interaction_graph(W.astype(float))[:U, U:] @ parts["item_layers"]
    parts["initial_users"] = received.astype(np.float32)
    options = {
        "n_layers": 2,
        "user_neighbors": 0,
        "max_degree": None,
        "user_links": "counts",
        "normalize": True,
    }
    logits = np.zeros((U, 1), np.float32)
    residuals = [
        FoldIn(sp.csr_matrix(matrix), **parts, preference_logits=logits, **options).residuals
        for matrix in (W, R)
    ]
    weighted, unweighted = (np.abs(x[KNOWN]).max() for x in residuals)
    assert weighted < 0.1 * np.abs(received).max() and weighted < 0.5 * unweighted


def test_known_users_who_start_anywhere_are_recognised():
    network, fold = model(user_neighbors=0, alike=False)
    users, _ = fold(sp.csr_matrix(R))
    expected = network.embeddings()[0].numpy()
    cosine = (reference.unit(users) * reference.unit(expected)).sum(axis=1)
    assert (cosine[KNOWN] > 0.97).all()


def test_users_do_not_depend_on_who_else_is_folded_in():
    _, fold = model(alike=False)
    together, logits = fold(sp.csr_matrix(HISTORIES))
    for new in range(len(HISTORIES)):
        alone, own = fold(sp.csr_matrix(HISTORIES[[new]]))
        np.testing.assert_allclose(alone[0], together[new], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(own[0], logits[new], rtol=1e-5, atol=1e-6)


def test_what_the_first_new_user_made_is_not_kept_elsewhere():
    _, fold = model()
    before = fold(sp.csr_matrix(HISTORIES))
    assert fold._index is not None
    again = pickle.loads(pickle.dumps(fold))
    assert "_index" not in vars(again)
    similar = sp.csr_matrix((np.ones(1, np.float32), ([0], [2])), shape=(1, I))
    grown = fold.with_new_items(similar)
    assert "_index" not in vars(grown)
    wider = sp.csr_matrix(np.hstack([HISTORIES, np.zeros((5, 1), np.float32)]))
    for found in (again(sp.csr_matrix(HISTORIES)), grown(wider)):
        for a, b in zip(before, found, strict=True):
            np.testing.assert_array_equal(a, b)


def test_preferences_of_known_users_are_recognised():
    network, _ = model()
    logits = np.where(R[:, :1] > 0, [[3.0, 0.0]], [[0.0, 3.0]])  # users of item 0 prefer pictures
    parts = {name: x.numpy() for name, x in network.fold_in_parts().items()}
    parts["initial_users"] = np.tile(START, (U, 2)).astype("f4")
    for name in ("item_layers", "items", "propagated_users"):
        parts[name] = np.tile(parts[name], 2)
    fold = FoldIn(
        sp.csr_matrix(R),
        **parts,
        preference_logits=logits,
        n_layers=2,
        user_neighbors=0,
        max_degree=None,
        user_links="counts",
        normalize=True,
    )
    users, found = fold(sp.csr_matrix(R))
    assert users.shape == (U, 2 * D) and found.shape == (U, 2)
    np.testing.assert_array_equal(found[KNOWN].argmax(axis=1), logits[KNOWN].argmax(axis=1))


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("fusion", ["concat", "sum"])
@pytest.mark.parametrize("n_modalities", [1, 3])
def test_fuse(n_modalities, fusion, similarity):
    nodes = RNG.normal(size=(6, n_modalities, D)).astype("f4")
    nodes[2] = 0
    preference = RNG.random((6, n_modalities))
    expected = reference.fuse(nodes, preference, fusion)
    expected = reference.unit(expected) if similarity == "cosine" else expected
    fused = fuse(nodes.reshape(6, -1), preference, fusion=fusion, similarity=similarity)
    assert fused.dtype == np.float32
    np.testing.assert_allclose(fused, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("training", ["fast", "paper"])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_known_users_are_folded_in_to_nearly_their_own_list(interactions, similarity, training):
    est = MDERecommender(
        n_factors=16,
        max_epochs=10,
        user_neighbors=0,
        training=training,
        similarity=similarity,
        early_stopping=False,
        random_state=0,
    ).fit(interactions)
    own, _ = est.recommend(k=10)
    folded, _ = est.recommend(user_items=interactions, k=10)
    overlap = [len(set(a) & set(b)) / 10 for a, b in zip(own, folded, strict=True)]
    assert np.mean(overlap) > 0.8
