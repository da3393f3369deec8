"""Products in bfloat16: which operations they are, and what stays in float32."""

from collections import Counter
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from scipy import sparse
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from recsk import MDERecommender, MDSRecRecommender
from recsk.nn import training
from recsk.nn.precision import at_precision, full_precision, product_dtype, upcast
from recsk.nn.propagation import SparseOperator
from recsk.nn.softmax import softmax_loss
from tests.contract.suite import FEATURES, TRAIN

CPU = torch.device("cpu")
PRODUCTS = {"mm", "bmm", "addmm", "baddbmm"}
# What a step may do in bfloat16 besides: copies, elementwise functions of a layer, and the bias
# gradient of a linear layer, a sum that torch's kernels keep in float32 until its end.
ELEMENTWISE = {"gelu", "mul", "add_", "new_full", "triu_"}
BACKWARD = {"gelu_backward", "sum"}
COPIES = {
    "_to_copy",
    "_unsafe_view",
    "cat",
    "clone",
    "expand",
    "permute",
    "slice",
    "split",
    "squeeze",
}
COPIES |= {"stack", "t", "transpose", "unbind", "unsqueeze", "view"}
SETTINGS = {
    "mde": (MDERecommender, {}),
    "mde, whole graph": (MDERecommender, {"training": "paper", "user_neighbors": 3}),
    "mde, gates": (MDERecommender, {"id_embedding": "gate", "loss": "bpr"}),
    "mdsrec": (MDSRecRecommender, {"n_interests": 3}),
    "mdsrec, needed items": (MDSRecRecommender, {"n_interests": 3, "n_negatives": 3}),
    "mdsrec, no projection": (
        MDSRecRecommender,
        {"n_interests": 3, "n_negatives": 3, "project_features": False, "relation": None},
    ),
    "mdsrec, paper": (MDSRecRecommender, MDSRecRecommender._paper | {"n_interests": 3}),
}
ALL = pytest.mark.parametrize("name", SETTINGS)


def make(name, **params):
    cls, own = SETTINGS[name]
    small = {"n_factors": 4, "max_epochs": 2, "random_state": 0, "device": "cpu"}
    return cls(**{**own, **small, **params})


def fit(name, **params):
    return make(name, **params).fit(TRAIN, item_features=FEATURES)


class _Operations(TorchDispatchMode):
    """Counts operations that have a tensor of bfloat16, and dense products that have none."""

    def __init__(self):
        super().__init__()
        self.low, self.full = Counter(), Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        tensors = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, torch.Tensor)]
        if any(x.dtype == torch.bfloat16 for x in tensors):
            self.low[name] += 1
            assert all(x.layout == torch.strided for x in tensors), f"a sparse {name}"
        elif name in PRODUCTS and all(x.layout == torch.strided for x in tensors):
            self.full[name] += 1
        return out


@ALL
def test_products_of_a_step_are_in_bfloat16_and_nothing_else(name, monkeypatch):
    steps = _Operations()
    run_epoch = training._run_epoch

    def watched(*args):
        with steps:
            return run_epoch(*args)

    monkeypatch.setattr(training, "_run_epoch", watched)
    fit(name, precision="bfloat16")
    assert steps.low["addmm"] > 0  # linear layers
    assert (steps.low["baddbmm"] > 0) == ("mdsrec" in name)  # attention
    assert not steps.full
    assert set(steps.low) <= PRODUCTS | ELEMENTWISE | BACKWARD | COPIES


@ALL
def test_weights_losses_and_moments_stay_in_float32(name, monkeypatch):
    found = []

    class Watched(training._TrainingState):
        def step(self):
            super().step()
            tensors = [*self.network.parameters(), *self.average.averages]
            tensors += [x.grad for x in self.network.parameters() if x.grad is not None]
            tensors += [x for pair in self.optimizer._moments for x in pair]
            found.append({x.dtype for x in tensors})

    monkeypatch.setattr(training, "_TrainingState", Watched)
    model = fit(name, precision="bfloat16")
    assert found and all(dtypes == {torch.float32} for dtypes in found)
    assert model.item_embedding_.dtype == model.user_embedding_.dtype == np.float32


@ALL
def test_the_first_losses_are_near_those_of_float32(name):
    """Of one epoch at a rate that hardly moves the weights: the same network, in other products."""
    one, other = (
        fit(name, precision=p, max_epochs=1, learning_rate=1e-6, early_stopping=False)
        for p in ("float32", "bfloat16")
    )
    assert one.loss_curve_.keys() == other.loss_curve_.keys()
    for term, (value,) in one.loss_curve_.items():
        assert other.loss_curve_[term][0] == pytest.approx(value, rel=1e-2), term
    assert one.loss_curve_ != other.loss_curve_


def test_a_precision_of_float32_is_the_function_itself():
    def terms(batch):
        return {}

    assert at_precision(terms, "float32", CPU) is terms


def test_terms_are_float32_and_autocast_ends_with_the_step():
    x = torch.randn(4, 4)

    def terms(batch):
        assert product_dtype(x) == torch.bfloat16
        with full_precision(x):
            assert product_dtype(x) == torch.float32 and (x @ x).dtype == torch.float32
        return {"one": (x @ x).sum()}

    assert at_precision(terms, "bfloat16", CPU)(None)["one"].dtype == torch.float32
    assert product_dtype(x) == torch.float32


def test_only_bfloat16_is_brought_to_float32():
    for dtype in (torch.float32, torch.float64, torch.int64):
        x = torch.ones(2, dtype=dtype)
        assert upcast(x) is x
    assert upcast(torch.ones(2, dtype=torch.bfloat16)).dtype == torch.float32


@pytest.mark.parametrize("query_index", [None, [0, 1, 1, 5, 4, 5]])
def test_softmax_loss_and_gradients(query_index):
    rng = torch.Generator().manual_seed(0)
    draws = [torch.randn(6, 16, generator=rng), torch.randn(6, 16, generator=rng)]
    draws.append(torch.randn(50, 16, generator=rng))
    options = {} if query_index is None else {"query_index": torch.tensor(query_index)}
    found = []
    for context in (nullcontext(), torch.autocast("cpu", dtype=torch.bfloat16)):
        inputs = [x.clone().requires_grad_() for x in draws]
        with context:
            loss = softmax_loss(*inputs, **options)
        loss.backward()
        assert loss.dtype == torch.float32
        found.append([loss.detach(), *(x.grad for x in inputs)])
    for one, other in zip(*found, strict=True):
        assert not torch.equal(one, other)
        assert (one - other).norm() < 1e-2 * one.norm()


def test_sparse_products_are_those_of_float32():
    matrix = sparse.random_array((5, 5), density=0.5, rng=np.random.default_rng(0)).tocsr()
    operator, x = SparseOperator(matrix, CPU), torch.randn(5, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = operator @ x
    assert torch.equal(found, operator @ x)
