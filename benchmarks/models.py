"""Models under the names of the tables, and how each is run.

A name is one of recsk's networks (`MDE`, `MDSREC`, tuned: `GRIDS`), one of the rules of
`rivals.RULES`, or the import path of any estimator of the contract, `package.module:Class`. All are
fitted on the training part. Whatever has an `eval_set` in its `fit` is stopped by the validation
part, and whatever has `item_features` gets all modalities.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import by_user
import numpy as np
import paper_form
import rivals
import sequence_content
import sources
from sklearn.model_selection import ParameterGrid
from sklearn.utils import Bunch
from tuning import Coordinates

from recsk import MDERecommender, MDSRecRecommender
from recsk.models.mde.recipe import RECIPES

__all__ = [
    "GRIDS",
    "MDE",
    "MDSREC",
    "Model",
    "find",
    "fit",
    "has_chance",
    "identity",
    "is_sequential",
    "known",
    "label",
    "make",
    "params_of",
    "run",
]

SASREC = {
    "similarity": "dot",
    "item_bias": False,
    "relation_weight": 0.0,
    "recent_weight": 0.0,
}
LIGHTGCN = {
    "loss": "bpr",
    "training": "paper",
    "cooccurrence_weight": 0.0,
    "similarity": "dot",
    "user_neighbors": 0,
    "n_layers": 2,
    "batch_size": 2048,
    "max_epochs": 500,
    "reg_lambda": 1e-4,
}


class WholeGraphMDE(MDERecommender):
    """The defaults, but every step propagates on the whole graph, with all gradients."""

    _recipe = replace(RECIPES["fast"], propagation="full")


# The class method that makes a model, its parameters, and its modalities, None for all.
MDE: dict[str, tuple[Callable[..., MDERecommender], dict[str, Any], list[int] | None]] = {
    "mde": (MDERecommender, {}, None),
    "mde_bfloat16": (MDERecommender, {"precision": "bfloat16"}, None),
    "paper": (MDERecommender.paper, {}, None),
    "wo_mda": (MDERecommender, {"alpha": 0.0}, None),
    "wo_msa": (MDERecommender, {"beta": 0.0}, None),
    "wo_nlt": (MDERecommender, {"tradeoff": "uniform"}, None),
    "paper_wo_mda": (MDERecommender.paper, {"alpha": 0.0}, None),
    "paper_wo_msa": (MDERecommender.paper, {"beta": 0.0}, None),
    "paper_wo_nlt": (MDERecommender.paper, {"tradeoff": "uniform"}, None),
    # The paper's variants: the same preference for every node, and weights of their own.
    "paper_variant_a": (MDERecommender.paper, {"preference": [0.5, 0.5]}, None),
    "paper_variant_b": (MDERecommender.paper, {"tradeoff": "independent"}, None),
    # The defaults but for one addition to the paper taken back, or one more made.
    "no_co_occurrence": (MDERecommender, {"cooccurrence_weight": 0.0}, None),
    "full_propagation": (WholeGraphMDE, {}, None),
    "paper_training": (MDERecommender, {"training": "paper"}, None),
    "no_id": (MDERecommender, {"id_embedding": "none"}, None),
    "gated_id": (MDERecommender, {"id_embedding": "gate"}, None),
    "user_graph": (MDERecommender, {"user_neighbors": 40}, None),
    "no_item_graph": (MDERecommender, {"item_neighbors": 0}, None),
    "bpr_loss": (MDERecommender, {"loss": "bpr"}, None),
    "bpr_dot": (MDERecommender, {"loss": "bpr", "similarity": "dot"}, None),
    "modal_ranking": (MDERecommender, {"modality_weight": 1.0}, None),
    "strong_losses": (MDERecommender, {"alpha": 0.1, "beta": 0.1}, None),
    "no_extra_losses": (MDERecommender, {"alpha": 0.0, "beta": 0.0}, None),
    "few_negatives": (MDERecommender, {"n_negatives": 256}, None),
    "equal_preference": (MDERecommender, {"preference": [0.5, 0.5]}, None),
    "mde_first_modality": (MDERecommender, {}, [0]),
    "mde_second_modality": (MDERecommender, {}, [1]),
    "ids": (MDERecommender, {}, []),
    "lightgcn": (MDERecommender, LIGHTGCN, []),
    # The paper's form but for one choice that its text leaves open.
    **paper_form.FORMS,
}
_PAPER = dict(MDSRecRecommender._paper)
# The models of sequences, with the modalities that one is given, None for all.
MDSREC: dict[str, tuple[dict[str, Any], list[int] | None]] = {
    "mdsrec": ({}, None),
    "mdsrec_bfloat16": ({"precision": "bfloat16"}, None),
    "sasrec": (SASREC, []),
    "ids_sequences": ({}, []),
    "wo_mrgc": ({"relation": None, "relation_weight": 0.0}, None),
    "wo_ica": ({"n_interests": 0}, None),
    "mean_fusion": ({"fusion": "mean"}, None),
    "gumbel_fusion": ({"fusion": "gumbel"}, None),
    "softmax_fusion": ({"fusion": "softmax"}, None),
    "no_bias": ({"item_bias": False}, None),
    # k and H of the paper.
    "neighbors_5": ({"n_neighbors": 5}, None),
    "neighbors_20": ({"n_neighbors": 20}, None),
    "interests_4": ({"n_interests": 4}, None),
    "interests_64": ({"n_interests": 64}, None),
    "no_relation_scores": ({"relation_weight": 0.0}, None),
    "no_recent_vectors": ({"recent_weight": 0.0}, None),
    "shared_ids": ({"shared_ids": True}, None),
    "paper_sequences": (_PAPER, None),
    "paper_wo_mrgc": ({**_PAPER, "relation": None}, None),
    "paper_wo_ica": ({**_PAPER, "n_interests": 0}, None),
    "paper_mean_fusion": ({**_PAPER, "fusion": "mean"}, None),
    "paper_first_modality": (_PAPER, [0]),
    "paper_second_modality": (_PAPER, [1]),
    "first_modality": ({}, [0]),
    "second_modality": ({}, [1]),
}
_SEQUENCE_GRID: list[dict[str, Any]] = [
    {**scores, **rest}
    for scores in (
        {"similarity": "dot"},
        {"similarity": "cosine"},
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
GRIDS: dict[str, tuple[str, str, list[dict[str, Any]] | Coordinates]] = {
    "mde_tuned": (
        "mde",
        "recall@20",
        list(ParameterGrid({"learning_rate": [1e-3, 4e-3], "modality_weight": [0.0, 1.0]})),
    ),
    "paper_tuned": (
        "paper",
        "recall@20",
        Coordinates(
            {"alpha": 0.1, "beta": 0.1, "learning_rate": 5e-3, "n_layers": 2},
            {
                "alpha": (0.01, 0.03, 0.1, 0.3),
                "beta": (0.01, 0.03, 0.1, 0.3),
                "learning_rate": (2.5e-3, 5e-3, 1e-2),
                "n_layers": (1, 2, 3),
            },
            max_settings=9,
        ),
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


@dataclass(frozen=True)
class Model:
    """What makes an estimator, with which modalities (None: all), and whether order counts."""

    create: Callable[..., Any]
    params: dict[str, Any]
    chosen: list[int] | None
    ordered: bool


def known() -> list[str]:
    """Every name but for import paths."""
    return [*MDE, *MDSREC, *sequence_content.FORMS, *GRIDS, *rivals.RULES]


def find(name: str) -> Model:
    """The model of a name or an import path; of a tuned one what is tuned."""
    name = GRIDS[name][0] if name in GRIDS else name
    if name in MDE:
        create, params, chosen = MDE[name]
        return Model(create, params, chosen, False)
    if name in MDSREC:
        params, chosen = MDSREC[name]
        return Model(MDSRecRecommender, params, chosen, True)
    if name in sequence_content.FORMS:
        form, params, chosen = sequence_content.FORMS[name]
        return Model(form, params, chosen, True)
    if name in rivals.RULES:
        rule = rivals.RULES[name]
        chosen = None if rule.features else []
        return Model(sources.import_object(rule.path), rule.params, chosen, rule.ordered)
    if ":" not in name:
        names = ", ".join(known())
        raise SystemExit(f"unknown model {name!r}: give package.module:Class or one of {names}")
    create = sources.import_object(name)
    return Model(create, {}, None, bool(getattr(create, "ordered", False)))


def label(name: str) -> str:
    """A name that fits into a table and the name of a file."""
    return name.rpartition(":")[2]


def is_sequential(name: str) -> bool:
    """Whether a model needs the order of the interactions."""
    return find(name).ordered


def params_of(name: str) -> dict[str, Any]:
    """What a model sets otherwise than its class does."""
    return dict(find(name).params)


def make(name: str, seed: int, changes: dict[str, Any]) -> Any:
    """A model by its name, not fitted."""
    model = find(name)
    estimator = model.create(**{**model.params, **changes})
    if has_chance(estimator):
        estimator.set_params(random_state=seed)
    return estimator


def has_chance(estimator: Any) -> bool:
    """Whether another seed may give another result."""
    return "random_state" in estimator.get_params(deep=False)


def identity(name: str, changes: dict[str, Any], modalities: Sequence[str]) -> dict[str, Any]:
    """All that makes a model but its seed, whatever it is called: names and defaults may change."""
    estimator = make(name, 0, changes)
    params = estimator.get_params(deep=False)
    for without_effect in ("random_state", "verbose"):
        params.pop(without_effect, None)
    if params.get("precision") == "float32":  # as in runs from before this parameter
        del params["precision"]
    given = _modalities(name, list(modalities))
    kind = type(estimator)
    own = kind.__module__.partition(".")[0] == "recsk"
    class_name = kind.__name__ if own else f"{kind.__module__}:{kind.__qualname__}"
    return {"class": class_name, "params": params, "modalities": given}


def fit(name: str, data: Bunch, seed: int, changes: dict[str, Any]) -> Any:
    """A fitted model, which is asked by the ids of the users for what comes in the test part."""
    return asked(_fit(make(name, seed, changes), name, data), data, "test")


def run(
    name: str,
    data: Bunch,
    seed: int,
    changes: dict[str, Any],
    parts: Sequence[str],
    cutoffs: Sequence[int],
    kept: Sequence[str] = (),
) -> dict[str, Any]:
    """Fit a model and measure it on parts of the data.

    A part of sequences may end in ", not masked": items seen are ranked then. With `kept`, names
    of metrics, "by user" has the values of each user of the masked parts.
    """
    estimator = make(name, seed, changes)
    start = time.perf_counter()
    _fit(estimator, name, data)
    seconds = time.perf_counter() - start
    found: dict[str, Any] = {"seed": seed, "fit_seconds": seconds}
    if hasattr(estimator, "n_iter_"):
        found["epoch_seconds"] = seconds / estimator.n_iter_
    if hasattr(estimator, "best_iter_"):
        found["best_iter"] = estimator.best_iter_
    users: dict[str, by_user.Values] = {}
    for part in parts:
        held_out = part.split(",")[0]
        found[part], values = by_user.measure(
            asked(estimator, data, held_out),
            data[held_out],
            cutoffs,
            exclude_seen=part == held_out,
            kept=kept if part == held_out else (),
        )
        if values:
            users[part] = values
    return {**found, "by user": users} if kept else found


def asked(estimator: Any, data: Bunch, part: str) -> Any:
    """A fitted model as it is asked for a part: of sequences by the history before it."""
    return _Continuing(estimator, data.history[part]) if "history" in data else estimator


def _fit(estimator: Any, name: str, data: Bunch) -> Any:
    features = {m: data.features[m] for m in _modalities(name, list(data.features))}
    accepted = inspect.signature(estimator.fit).parameters
    options: dict[str, Any] = {}
    if features and "item_features" in accepted:
        options["item_features"] = features
    if "eval_set" in accepted:
        options["eval_set"] = data.valid
    return estimator.fit(data.train, **options)


def _modalities(name: str, names: list[str]) -> list[str]:
    """Which of them a model is given."""
    chosen = find(name).chosen
    return names if chosen is None else [names[m] for m in chosen]


class _Continuing:
    """A fitted model, asked what comes after histories that may be longer than training's."""

    def __init__(self, estimator: Any, histories: list[np.ndarray]) -> None:
        self.estimator, self.histories = estimator, histories

    def recommend(self, user_ids: np.ndarray, k: int, **options: Any) -> Any:
        asked = [self.histories[user] for user in user_ids]
        return self.estimator.recommend(user_items=asked, k=k, **options)
