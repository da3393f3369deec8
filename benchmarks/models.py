"""recsk's models under the names of the tables, and how each is run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterGrid
from sklearn.utils import Bunch

from recsk import MDERecommender, MDSRecRecommender
from recsk.metrics import evaluate

__all__ = [
    "GRIDS",
    "MDE",
    "MDSREC",
    "fit",
    "identity",
    "is_sequential",
    "make",
    "params_of",
    "run",
    "tune",
]

SASREC = {"similarity": "dot", "score_temperature": 1.0, "item_bias": False}
LIGHTGCN = {
    "loss": "bpr",
    "user_balance": 0.0,
    "similarity": "dot",
    "normalize": False,
    "user_neighbors": 0,
    "n_layers": 2,
    "batch_size": 2048,
    "max_epochs": 500,
    "reg_lambda": 1e-4,
}
# The class method that makes a model, its parameters, and whether it is given features.
MDE: dict[str, tuple[Callable[..., MDERecommender], dict[str, Any], bool]] = {
    "mde": (MDERecommender, {}, True),
    "paper": (MDERecommender.paper, {}, True),
    "wo_mda": (MDERecommender, {"alpha": 0.0}, True),
    "wo_msa": (MDERecommender, {"beta": 0.0}, True),
    "wo_nlt": (MDERecommender, {"tradeoff": "uniform"}, True),
    "paper_wo_mda": (MDERecommender.paper, {"alpha": 0.0}, True),
    "paper_wo_msa": (MDERecommender.paper, {"beta": 0.0}, True),
    "paper_wo_nlt": (MDERecommender.paper, {"tradeoff": "uniform"}, True),
    # The defaults but for one addition to the paper taken back, or one more made.
    "raw_features": (MDERecommender, {"standardize": False}, True),
    "mlp_encoder": (MDERecommender, {"hidden_factor": 4}, True),
    "no_id": (MDERecommender, {"id_embedding": "none"}, True),
    "gated_id": (MDERecommender, {"id_embedding": "gate"}, True),
    "user_graph": (MDERecommender, {"user_neighbors": 40}, True),
    "no_item_graph": (MDERecommender, {"item_neighbors": 0}, True),
    "bpr_loss": (MDERecommender, {"loss": "bpr"}, True),
    "bpr_dot": (MDERecommender, {"loss": "bpr", "similarity": "dot"}, True),
    "modal_ranking": (MDERecommender, {"modality_weight": 1.0}, True),
    "strong_losses": (MDERecommender, {"alpha": 0.1, "beta": 0.1}, True),
    "no_extra_losses": (MDERecommender, {"alpha": 0.0, "beta": 0.0}, True),
    "edge_dropout": (MDERecommender, {"edge_dropout": 0.3}, True),
    "last_weights": (MDERecommender, {"weight_averaging": 0.0}, True),
    "few_negatives": (MDERecommender, {"n_negatives": 256}, True),
    "all_negatives": (MDERecommender, {"exclude_seen_negatives": False}, True),
    "no_balance": (MDERecommender, {"user_balance": 0.0}, True),
    "rate_decay": (MDERecommender, {"learning_rate_decay": 0.9}, True),
    "low_temperature": (MDERecommender, {"score_temperature": 0.1}, True),
    "high_temperature": (MDERecommender, {"score_temperature": 0.4}, True),
    "ids": (MDERecommender, {}, False),
    "lightgcn": (MDERecommender, LIGHTGCN, False),
}
_PAPER = dict(MDSRecRecommender._paper)
# The models of sequences, with the modalities that one is given, None for all.
MDSREC: dict[str, tuple[dict[str, Any], list[int] | None]] = {
    "mdsrec": ({}, None),
    "sasrec": (SASREC, []),
    "ids_sequences": ({}, []),
    "wo_mrgc": ({"relation": None}, None),
    "wo_ica": ({"n_interests": 0}, None),
    "mean_fusion": ({"fusion": "mean"}, None),
    "softmax_fusion": ({"fusion": "softmax"}, None),
    "no_bias": ({"item_bias": False}, None),
    "no_relation_scores": ({"relation_weight": 0.0}, None),
    "graph_alone": ({"relation_strength": None}, None),
    "shared_ids": ({"shared_ids": True}, None),
    "modality_losses": ({"modality_weight": 1.0}, None),
    "paper_sequences": (_PAPER, None),
    "paper_wo_mrgc": ({**_PAPER, "relation": None}, None),
    "paper_wo_ica": ({**_PAPER, "n_interests": 0}, None),
    "paper_mean_fusion": ({**_PAPER, "fusion": "mean"}, None),
    "first_modality": ({}, [0]),
    "second_modality": ({}, [1]),
}
_SEQUENCE_GRID: list[dict[str, Any]] = [
    {**scores, **rest}
    for scores in (
        {"similarity": "dot", "score_temperature": 1.0},
        {"similarity": "cosine", "score_temperature": 0.1},
    )
    for rest in ParameterGrid(
        {
            "item_bias": [False, True],
            "batch_size": [128, 512],
            "learning_rate": [1e-3, 2e-3],
            "dropout": [0.3, 0.5],
        }
    )
]
# Models tuned as the rivals are: the best setting by this metric on validation at the first seed.
GRIDS: dict[str, tuple[str, str, list[dict[str, Any]]]] = {
    "mde_tuned": (
        "mde",
        "recall@20",
        list(ParameterGrid({"learning_rate": [1e-3, 4e-3], "modality_weight": [0.0, 1.0]})),
    ),
    "lightgcn_tuned": (
        "lightgcn",
        "recall@20",
        list(ParameterGrid({"learning_rate": [1e-3, 4e-3], "reg_lambda": [1e-4, 1e-2]})),
    ),
    # The same size and the same grid for both.
    "mdsrec_tuned": ("mdsrec", "ndcg@10", _SEQUENCE_GRID),
    "sasrec_tuned": ("sasrec", "ndcg@10", _SEQUENCE_GRID),
}


def is_sequential(name: str) -> bool:
    """Whether a model needs the order of the interactions."""
    return (GRIDS[name][0] if name in GRIDS else name) in MDSREC


def params_of(name: str) -> dict[str, Any]:
    """What a model sets otherwise than its class does."""
    return dict(MDSREC[name][0] if name in MDSREC else MDE[name][1])


def make(name: str, seed: int, changes: dict[str, Any]) -> MDERecommender | MDSRecRecommender:
    """A model by its name, not fitted."""
    if name in MDSREC:
        return MDSRecRecommender(**{**MDSREC[name][0], **changes}, random_state=seed)
    create, params, _ = MDE[name]
    return create(**{**params, **changes}, random_state=seed)


def identity(name: str, changes: dict[str, Any], modalities: Sequence[str]) -> dict[str, Any]:
    """All that makes a model but its seed, whatever it is called: names and defaults may change."""
    estimator = make(name, 0, changes)
    params = estimator.get_params(deep=False)
    for without_effect in ("random_state", "verbose", "checkpoint", "checkpoint_epochs"):
        del params[without_effect]
    given = _modalities(name, list(modalities))
    return {"class": type(estimator).__name__, "params": params, "modalities": given}


def fit(name: str, data: Bunch, seed: int, changes: dict[str, Any]) -> Any:
    """A fitted model, which is asked by the ids of the users for what comes in the test part."""
    estimator = make(name, seed, changes)
    estimator.fit(data.train, item_features=_features(name, data), eval_set=data.valid)
    return _Continuing(estimator, data.history["test"]) if name in MDSREC else estimator


def run(
    name: str,
    data: Bunch,
    seed: int,
    changes: dict[str, Any],
    parts: Sequence[str],
    cutoffs: Sequence[int],
) -> dict[str, Any]:
    """Fit a model and measure it on parts of the data.

    A part of sequences may end in ", not masked": items seen are ranked then.
    """
    estimator = make(name, seed, changes)
    start = time.perf_counter()
    estimator.fit(data.train, item_features=_features(name, data), eval_set=data.valid)
    seconds = time.perf_counter() - start
    found: dict[str, Any] = {
        "seed": seed,
        "best_iter": estimator.best_iter_,
        "fit_seconds": seconds,
        "epoch_seconds": seconds / estimator.n_iter_,
    }
    for part in parts:
        held_out = part.split(",")[0]
        asked = _Continuing(estimator, data.history[held_out]) if name in MDSREC else estimator
        found[part] = evaluate(asked, data[held_out], k=cutoffs, exclude_seen=part == held_out)
    return found


def tune(name: str, data: Bunch, seed: int, changes: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The model of a grid, and its best setting by validation."""
    model, eval_metric, grid = GRIDS[name]
    k = int(eval_metric.partition("@")[2])
    tried = []
    for params in grid:
        found = run(model, data, seed, {**params, **changes}, ["valid"], [k])["valid"][eval_metric]
        print(f"{name}: {eval_metric} {found:.4f} on validation with {params}", flush=True)
        tried.append((found, params))
    return model, max(tried, key=lambda pair: pair[0])[1]


def _modalities(name: str, names: list[str]) -> list[str]:
    """Which of them a model is given."""
    if name not in MDSREC:
        return names if MDE[name][2] else []
    chosen = MDSREC[name][1]
    return names if chosen is None else [names[m] for m in chosen]


def _features(name: str, data: Bunch) -> dict[str, np.ndarray]:
    return {m: data.features[m] for m in _modalities(name, list(data.features))}


class _Continuing:
    """A model of sequences, asked what comes after histories that may be longer than training's."""

    def __init__(self, estimator: MDSRecRecommender, histories: list[np.ndarray]) -> None:
        self.estimator, self.histories = estimator, histories

    def recommend(self, user_ids: np.ndarray, k: int, **options: Any) -> Any:
        asked = [self.histories[user] for user in user_ids]
        return self.estimator.recommend(user_items=asked, k=k, **options)
