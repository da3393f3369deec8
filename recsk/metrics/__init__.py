"""Metrics for ranked recommendations.

Every metric takes the ranked item ids of some users and the matrix of their held-out items. It
averages over the users with at least one held-out item. With ``h`` the number of held-out items
of a user:

============ =============================================================================
recall       held-out items in the first k, divided by h
precision    held-out items in the first k, divided by k
hit_rate     1 if a held-out item is in the first k, else 0
mrr          1 / rank of the first held-out item, 0 if there is none in the first k
map          sum of precision@r over the ranks r <= k of held-out items, divided by min(k, h)
ndcg         sum of 1 / log2(r + 1) over the same ranks, divided by the best possible sum,
             that of min(k, h) held-out items at the top
coverage     share of the catalogue that is in the first k of at least one user
============ =============================================================================
"""

from recsk.metrics.accuracy import hit_rate_at_k, precision_at_k, recall_at_k
from recsk.metrics.coverage import coverage_at_k
from recsk.metrics.evaluation import evaluate
from recsk.metrics.ranks import map_at_k, mrr_at_k, ndcg_at_k

__all__ = [
    "coverage_at_k",
    "evaluate",
    "hit_rate_at_k",
    "map_at_k",
    "mrr_at_k",
    "ndcg_at_k",
    "precision_at_k",
    "recall_at_k",
]
