"""MMRec's models: the data in its form, and what stands in for its GPU code, without a checkout."""

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.filterwarnings("ignore:Sparse")  # torch has its CSR form in beta


@pytest.fixture
def peers(script):
    return script("mmrec_peers")


@pytest.fixture
def worker(script):
    return script("mmrec_worker")


def test_a_folder_has_the_same_data(script, peers, tmp_path):
    data = script("sources").load("tiny", False)
    peers.write_folder(data, tmp_path / "data" / data.name, "t", "v")
    read = script("realdata").load_folder(tmp_path / "data" / data.name)
    assert read.name == data.name and read.sizes == data.sizes
    for part in ("train", "valid", "test"):
        assert (read[part] != data[part]).nnz == 0, part
    for modality in ("t", "v"):
        assert np.array_equal(read.features[modality], data.features[modality])


def test_missing_features_are_the_mean(peers):
    features = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 0.0]])
    assert peers.filled(features).tolist() == [[1, 2], [2, 1], [3, 0]]


def test_users_are_linked_by_items_in_common(script, peers, monkeypatch):
    monkeypatch.setattr(peers, "N_USER_NEIGHBORS", 5)
    train = script("sources").load("tiny", False).train
    counts = (train @ train.T).toarray()
    np.fill_diagonal(counts, 0)
    for user, (others, common) in peers.user_graph(train).items():
        expected = np.sort(counts[user])[::-1][:5]
        assert common == expected[expected > 0].tolist(), user
        assert common == counts[user, others].tolist() and user not in others


def test_lists_are_measured_as_evaluate_does(script, peers):
    data = script("sources").load("tiny", False)
    model = script("recsk.baselines").PopularRecommender().fit(data.train)
    lists, _ = model.recommend(np.arange(data.train.shape[0]), k=20)
    expected = script("recsk.metrics").evaluate(model, data.test)
    assert peers.measure(lists, data.test) == pytest.approx(expected)


def test_products_are_those_of_torch(worker):
    rng = np.random.default_rng(0)
    dense = torch.tensor(rng.random((5, 4)) * (rng.random((5, 4)) < 0.5), dtype=torch.float32)
    x, y = (torch.ones(4, 3).mul_(2).requires_grad_() for _ in range(2))
    matrix = dense.to_sparse()
    for found, of in ((worker.multiply(matrix, x), x), (torch.sparse.mm(matrix, y), y)):
        (found**2).sum().backward()
        assert torch.allclose(found, dense @ of)
    assert torch.allclose(x.grad, y.grad)


def test_sums_over_neighbours_of_dragon(worker):
    edges = torch.tensor([[0, 0, 1], [2, 3, 3]])
    both_ways = torch.cat([edges, edges.flip(0)], dim=1)
    x = torch.rand(4, 3)
    adjacency = torch.zeros(4, 4)
    adjacency[both_ways[0], both_ways[1]] = 1
    scale = torch.diag(adjacency.sum(1).rsqrt())
    found = worker.sum_of_items(None, x, both_ways)
    assert torch.allclose(found, scale @ adjacency @ scale @ x, atol=1e-6)

    neighbors, weights = [[1, 2], [0, 0], [1, 0]], torch.rand(3, 2)
    x = torch.rand(3, 4)
    expected = (weights[:, :, None] * x[torch.tensor(neighbors)]).sum(dim=1)
    assert torch.allclose(worker.sum_of_users(None, x, neighbors, weights), expected)
