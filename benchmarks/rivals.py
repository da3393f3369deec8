"""The simple rules of `recsk.baselines` as rows of the tables, and the grids that tune them.

Rules know what the networks know. In a random split a network learns from the training part and
stops by the validation part, so a rule is fitted on the training part, and validation chooses its
setting. Of sequences the same holds; at test both are asked by the history up to the test item,
`data.history["test"]`, which includes the item of the validation part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tuning import Axis

__all__ = ["RULES", "Rule", "rules_for"]


@dataclass(frozen=True)
class Rule:
    """A class, a grid, parameters that stay, those that are tuned together, and what it needs."""

    path: str
    grid: dict[str, Axis] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    together: tuple[tuple[str, str], ...] = ()
    features: bool = False
    ordered: bool = False


# Pairs up to `max_gap` apart, a decay for each step, and the last items of the history.
_SEQUENTIAL = {
    "max_gap": Axis((10, 20, 40), start=(20,), limits=(1, 200)),
    "gap_decay": Axis((0.4, 0.6, 0.7, 0.8, 0.9, 1.0), start=(0.6, 0.8), limits=(0.0, 1.0)),
    "n_recent": Axis((3, 5, 10), start=(5,), limits=(1, 100)),
    "recent_decay": Axis(
        (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), start=(0.3, 0.5, 0.7), limits=(0.0, 1.0)
    ),
}
RULES: dict[str, Rule] = {
    "popular": Rule("recsk.baselines:PopularRecommender"),
    "itemknn": Rule(
        "recsk.baselines:ItemKNNRecommender",
        {
            "weighting": Axis(("cosine", "tfidf", "bm25")),
            "n_neighbors": Axis((50, 100, 200), limits=(3, 5000), halvings=1),
            "K1": Axis((0.3, 0.6, 1.2, 2.4), start=(1.2,), limits=(0.01, 100)),
            "B": Axis((0.0, 0.25, 0.5, 0.75, 1.0), start=(0.75,), limits=(0.0, 1.0)),
        },
    ),
    "rp3beta": Rule(
        "recsk.baselines:RP3betaRecommender",
        {
            "alpha": Axis(
                (0.6, 0.8, 1.0, 1.2, 1.4), start=(0.8, 1.2), limits=(0.1, 5.0), halvings=1
            ),
            "beta": Axis(
                (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), start=(0.1, 0.3), limits=(0.0, 2.0), halvings=1
            ),
            "n_neighbors": Axis((50, 100, 200, 400), start=(100, 200), limits=(3, 5000)),
        },
    ),
    "ease": Rule(
        "recsk.baselines:EASERecommender",
        {
            "regularization": Axis(
                (10.0, 30.0, 100.0, 200.0, 300.0, 500.0, 1000.0, 3000.0),
                start=(300.0,),
                limits=(0.1, 1e6),
                halvings=1,
            )
        },
    ),
    "als": Rule(
        "recsk.baselines:ALSRecommender",
        {
            "factors": Axis((16, 32, 64, 128, 256), start=(32, 128), limits=(2, 1024)),
            "regularization": Axis(
                (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0),
                start=(1.0, 10.0, 100.0),
                limits=(1e-4, 1e5),
                halvings=2,
            ),
            "alpha": Axis(
                (0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
                start=(1.0, 10.0, 30.0),
                limits=(0.01, 1e4),
            ),
        },
        {"iterations": 15},
        together=(("regularization", "alpha"),),
    ),
    "bpr": Rule(
        "recsk.baselines:BPRRecommender",
        {
            "factors": Axis((16, 32, 64), start=(32,), limits=(2, 1024)),
            "learning_rate": Axis((0.01, 0.03, 0.1), start=(0.01, 0.03), limits=(1e-4, 1.0)),
            "regularization": Axis((0.001, 0.01, 0.1), limits=(1e-6, 10.0)),
            "iterations": Axis((100, 300), limits=(10, 3000)),
        },
        together=(("learning_rate", "regularization"),),
    ),
    "content_knn": Rule(
        "recsk.baselines:ContentKNNRecommender",
        {"n_neighbors": Axis((4, 16, 64, 256, None), limits=(1, 5000), halvings=1)},
        features=True,
    ),
    "sequential_rules": Rule(
        "recsk.baselines:SequentialRulesRecommender",
        {
            **_SEQUENTIAL,
            "content_weight": Axis(
                (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.8), start=(0.1, 0.2, 0.4), limits=(0.0, 20.0)
            ),
        },
        features=True,
        ordered=True,
    ),
    "sequential_rules_ids": Rule(
        "recsk.baselines:SequentialRulesRecommender",
        dict(_SEQUENTIAL),
        {"content_weight": 0.0},
        ordered=True,
    ),
}


def rules_for(*, sequential: bool, features: bool) -> list[str]:
    """Names of the rules that such data can have."""
    return [
        name
        for name, rule in RULES.items()
        if (sequential or not rule.ordered) and (features or not rule.features)
    ]
