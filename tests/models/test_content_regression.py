"""Vectors predicted from content, against regressions written out."""

import numpy as np
import pytest

from recsk.models.content_regression import ContentRegression

N, WIDTH = 60, 5


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    vectors = unit(rng.normal(size=(N, WIDTH)))
    content = unit(vectors @ rng.normal(size=(WIDTH, 8)) + 0.3 * rng.normal(size=(N, 8)))
    return content, vectors, rng.random(N)


def regression(content, vectors, reliability, ridge):
    """Coefficients of a weighted ridge regression with a constant."""
    inputs = np.hstack([content, np.ones((len(content), 1))]).astype(np.float64)
    gram = inputs.T @ (reliability[:, None] * inputs)
    return inputs, np.linalg.solve(
        gram + ridge * np.eye(9), inputs.T @ (reliability[:, None] * vectors)
    )


def reference(world, row, new, ridge, residuals):
    """Predict one item from the others."""
    content, vectors, reliability = world
    others = np.arange(N) != row
    _, coefficients = regression(content[others], vectors[others], reliability[others], ridge)
    cosine = content[others] @ new
    best = np.argsort(-cosine)[:20]
    weights = np.maximum(cosine[best], 0) ** 4 * reliability[others][best]
    correction = weights @ residuals[others][best] / (0.2 + weights.sum())
    return unit((np.append(new, 1) @ coefficients + correction)[None])[0]


def test_predictions_are_those_of_the_equations(world):
    content, vectors, reliability = world
    model = ContentRegression(content, vectors, reliability, np.arange(0, N, 3))
    inputs = np.hstack([content, np.ones((N, 1))])
    ridge = model.ridge * np.sum(reliability[:, None] * inputs**2) / 9
    residuals = np.zeros_like(vectors)
    for i in range(N):  # without item i
        others = np.arange(N) != i
        _, fitted = regression(content[others], vectors[others], reliability[others], ridge)
        residuals[i] = vectors[i] - inputs[i] @ fitted
    np.testing.assert_allclose(model.residuals, residuals, atol=1e-4)
    expected = [reference(world, i, content[i], ridge, residuals) for i in range(0, N, 3)]
    np.testing.assert_allclose(model.predicted, expected, atol=1e-4)
    new = unit(np.random.default_rng(1).normal(size=(4, 8)))
    expected = [reference(world, -1, row, ridge, residuals) for row in new]
    predicted, similar = model(new)
    np.testing.assert_allclose(predicted, expected, atol=1e-4)
    np.testing.assert_allclose(similar.sum(axis=1), 1, rtol=1e-5)


def test_left_out_items_are_not_similar_to_themselves(world):
    left_out = np.arange(0, N, 3)
    similar = ContentRegression(*world, left_out).similar
    assert similar.shape == (len(left_out), N)
    assert not similar[np.arange(len(left_out)), left_out].any()


def test_many_columns_are_reduced(world, monkeypatch):
    monkeypatch.setattr("recsk.models.content_regression._MAX_COLUMNS", 6)
    content, vectors, reliability = world
    model = ContentRegression(content, vectors, reliability, np.arange(N))
    assert model.coefficients.shape == (7, WIDTH)
    assert model(content[:2])[0].shape == (2, WIDTH)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_items_are_enough(world, n):
    model = ContentRegression(*(part[:n] for part in world), np.arange(n))
    assert model.similar.shape == (n, n) and not model.similar.diagonal().any()
    predicted, similar = model(world[0][:4])
    assert np.isfinite(predicted).all() and similar.shape == (4, n)
