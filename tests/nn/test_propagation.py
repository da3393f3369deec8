import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recsk.nn.propagation import SparseOperator, gather, mean_of_layers, scatter_sum
from tests.nn import reference
from tests.nn.cuda import DEVICES

pytestmark = pytest.mark.parametrize("device", DEVICES)


def random_matrix(n, m, seed=0, density=0.4):
    rng = np.random.default_rng(seed)
    return sp.random_array((n, m), density=density, rng=rng, dtype=np.float32).tocsr()


def random_tensor(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(6, 6), (5, 8), (8, 5)])
@pytest.mark.parametrize("form", [sp.csr_array, sp.csr_matrix, sp.coo_array])
def test_product_and_its_gradient(form, shape, device):
    A, X, G = random_matrix(*shape), random_tensor(shape[1], 3), random_tensor(shape[0], 3)
    X = X.to(device).requires_grad_()
    product = SparseOperator(form(A), torch.device(device)) @ X
    product.backward(G.to(device))
    np.testing.assert_allclose(product.detach().cpu(), A @ X.detach().cpu().numpy(), rtol=1e-5)
    np.testing.assert_allclose(X.grad.cpu(), A.T @ G.numpy(), rtol=1e-5)


def test_gradient_that_is_not_contiguous(device):
    A, X = random_matrix(6, 6), random_tensor(6, 3).to(device).requires_grad_()
    product = SparseOperator(A, torch.device(device)) @ X
    product.T.sum(dim=1).sum().backward()
    np.testing.assert_allclose(X.grad.cpu(), A.T @ np.ones((6, 3)), rtol=1e-5)


def test_empty_rows_columns_and_operator(device):
    for A in (sp.csr_array((4, 3), dtype=np.float32), sp.csr_array(np.eye(4, 3, -2, dtype="f4"))):
        X = torch.ones(3, 2, device=device, requires_grad=True)
        product = SparseOperator(A, torch.device(device)) @ X
        product.sum().backward()
        np.testing.assert_array_equal(product.detach().cpu(), A @ np.ones((3, 2)))
        np.testing.assert_array_equal(X.grad.cpu(), A.T @ np.ones((4, 2)))


@pytest.mark.parametrize("n_layers", [0, 1, 2, 4])
def test_mean_of_layers(n_layers, device):
    R = (random_matrix(5, 4).toarray() > 0).astype(float)
    A = reference.interaction_graph(R)
    graph = SparseOperator(sp.csr_array(A), torch.device(device), symmetric=True)
    X = random_tensor(9, 3).to(device).requires_grad_()
    mean = mean_of_layers(graph, X, n_layers)
    expected = reference.propagate(A, X.detach().cpu().double().numpy(), n_layers)
    np.testing.assert_allclose(mean.detach().cpu(), expected, rtol=1e-5, atol=1e-6)
    G = random_tensor(9, 3)
    mean.backward(G.to(device))
    # The operator is symmetric, and so is the mean of its powers.
    expected = reference.propagate(A, G.double().numpy(), n_layers)
    np.testing.assert_allclose(X.grad.cpu(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 2), (6, 2, 3)])
def test_gather(shape, device):
    ids = torch.tensor([4, 0, 4, 5, 4], device=device)
    table = random_tensor(*shape).to(device).requires_grad_()
    rows = gather(table, ids)
    assert torch.equal(rows, table[ids])
    G = random_tensor(*rows.shape).to(device)
    rows.backward(G)
    expected = torch.zeros_like(table).index_add_(0, ids, G)
    torch.testing.assert_close(table.grad, expected)


@pytest.mark.parametrize("width", [None, 1, 3])
@pytest.mark.parametrize("m", [0, 1, 7])
def test_scatter_sum(m, width, device):
    """Of numbers, or of rows."""
    ids = torch.tensor([4, 0, 4, 5, 4, 0, 2])[:m]
    values = random_tensor(m, *([width] if width else []))
    expected = np.zeros((8, *values.shape[1:]))
    for value, i in zip(values.numpy(), ids.tolist(), strict=True):
        expected[i] += value
    values = values.to(device).requires_grad_()
    total = scatter_sum(values, ids.to(device), 8)
    np.testing.assert_allclose(total.detach().cpu(), expected, rtol=1e-5, atol=1e-6)


def test_gradient_of_scatter_sum(device):
    ids = torch.tensor([1, 0, 1], device=device)
    for shape in ((3,), (3, 2)):
        values = random_tensor(*shape).to(device).requires_grad_()
        total = scatter_sum(values, ids, 4)
        slope = random_tensor(*total.shape).to(device)
        total.backward(slope)
        torch.testing.assert_close(values.grad, slope[ids])


def test_nothing_warns(device, recwarn):
    SparseOperator(random_matrix(3, 3), torch.device(device)) @ torch.ones(3, 2, device=device)
    assert not recwarn.list
