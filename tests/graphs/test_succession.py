import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsk.graphs import recency_weights, succession_graph
from recsk.graphs import succession as succession_module
from tests.graphs.cases import N_ITEMS, check_graph, pack

histories_of_items = st.lists(
    st.lists(st.integers(0, N_ITEMS - 1), max_size=8), min_size=1, max_size=5
)


def successions(histories, max_gap, gap_decay, weights=None):
    """Count pairs of places one by one, over the square root of the count of the first item."""
    weights = [[1] * len(h) for h in histories] if weights is None else weights
    C, n = np.zeros((N_ITEMS, N_ITEMS)), np.zeros(N_ITEMS)
    for history, weight in zip(histories, weights, strict=True):
        for s, i in enumerate(history):
            n[i] += weight[s]
            for t in range(s + 1, min(s + max_gap + 1, len(history))):
                if i != history[t]:
                    decay = gap_decay ** (t - s - 1)
                    C[i, history[t]] += decay * np.sqrt(weight[s] * weight[t])
    return C / np.sqrt(np.where(n > 0, n, 1))[:, None]


@given(
    histories=histories_of_items,
    max_gap=st.integers(1, 9),
    gap_decay=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    max_pairs=st.sampled_from([1, 10, 10**6]),
)
def test_successions_equal_the_reference(histories, max_gap, gap_decay, max_pairs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(succession_module, "_MAX_PAIRS", max_pairs)
        graph = succession_graph(*pack(histories), N_ITEMS, max_gap=max_gap, gap_decay=gap_decay)
    check_graph(graph, successions(histories, max_gap, gap_decay))


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, N_ITEMS - 1), st.floats(1e-2, 1e2)), max_size=8),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 9),
)
def test_weighted_successions_equal_the_reference(histories, max_gap):
    items = [[item for item, _ in history] for history in histories]
    weights = [[weight for _, weight in history] for history in histories]
    flat = np.array([w for history in weights for w in history], dtype=np.float32)
    graph = succession_graph(
        *pack(items), N_ITEMS, max_gap=max_gap, gap_decay=0.5, weights=flat
    ).toarray()
    expected = successions(items, max_gap, 0.5, weights)
    np.testing.assert_allclose(graph, expected, rtol=1e-4, atol=1e-5)


@given(
    histories=histories_of_items,
    n_recent=st.integers(1, 9),
    decay=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_recency_weights_equal_the_reference(histories, n_recent, decay):
    expected = np.zeros((len(histories), N_ITEMS))
    for row, history in zip(expected, histories, strict=True):
        for age, item in enumerate(history[::-1][:n_recent]):
            row[item] += decay**age
    weights = recency_weights(*pack(histories), N_ITEMS, n_recent=n_recent, decay=decay)
    check_graph(weights, expected)


def test_the_input_is_not_changed():
    indptr, items = pack([[3, 1, 4, 1], [5, 9, 2]])
    for array in (indptr, items):
        array.flags.writeable = False
    succession_graph(indptr, items, N_ITEMS, max_gap=3, gap_decay=0.5)
    recency_weights(indptr, items, N_ITEMS, n_recent=2, decay=0.5)
    assert items.tolist() == [3, 1, 4, 1, 5, 9, 2]
