"""The metrics that go by a name, and checks of metrics that a call asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from recsk.metrics.accuracy import hit_rate, precision, recall
from recsk.metrics.coverage import coverage
from recsk.metrics.exposure import gini
from recsk.metrics.hits import Bools, Floats
from recsk.metrics.lists import ListMetric
from recsk.metrics.new_items import NewItems
from recsk.metrics.novelty import Novelty
from recsk.metrics.popularity import Popularity, PopularityShift
from recsk.metrics.ranks import average_precision, mrr, ndcg

__all__ = ["check_metric", "greater_is_better", "metric_name"]

# hits (n, k), number of held-out items (n,) -> values (n,)
USER_METRICS: dict[str, Callable[[Bools, Floats], Floats]] = {
    "recall": recall,
    "ndcg": ndcg,
    "precision": precision,
    "map": average_precision,
    "mrr": mrr,
    "hit_rate": hit_rate,
}

# The values that a validation metric may have: of accuracy, from 0 to 1, higher is better.
METRICS = (*USER_METRICS, "coverage")

LIST_METRICS: dict[str, ListMetric] = {
    metric.name: metric for metric in (Novelty(), Popularity(), PopularityShift(), NewItems())
}

# Number of lists with each item (n_items,) -> one value for all lists
EXPOSURE_METRICS: dict[str, Callable[[npt.NDArray[np.int64]], float]] = {
    "gini": gini,
    "coverage": coverage,
}

NAMES = (*USER_METRICS, *LIST_METRICS, *EXPOSURE_METRICS)


def check_metric(metric: Any, name: str = "metric") -> str | ListMetric:
    """Return a metric, or raise a ValueError that lists the allowed names."""
    if isinstance(metric, ListMetric) or (isinstance(metric, str) and metric in NAMES):
        return metric
    cure = ""
    if isinstance(metric, str) and metric in ("diversity", "calibration"):
        argument = "features" if metric == "diversity" else "categories"
        cure = f": pass recsk.metrics.{metric.capitalize()}({argument})"
    raise ValueError(f"{name} must be one of {', '.join(NAMES)}; got {metric!r}{cure}")


def metric_name(metric: str | ListMetric) -> str:
    """Return the name of a metric in results."""
    return metric if isinstance(metric, str) else metric.name


def greater_is_better(metric: str | ListMetric) -> bool | None:
    """Whether higher values are better; None where neither direction is."""
    found = LIST_METRICS.get(metric, metric) if isinstance(metric, str) else metric
    return found != "gini" if isinstance(found, str) else found.greater_is_better
