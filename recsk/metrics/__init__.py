"""Metrics for ranked recommendations, of accuracy and beyond, and the comparison of models.

Metrics of accuracy take the ranked item ids of some users and the matrix of their held-out items.
They average over the users with at least one held-out item. With ``h`` the number of held-out
items of a user:

============ =============================================================================
recall       held-out items in the first k, divided by h
precision    held-out items in the first k, divided by k
hit_rate     1 if a held-out item is in the first k, else 0
mrr          1 / rank of the first held-out item, 0 if there is none in the first k
map          sum of precision@r over the ranks r <= k of held-out items, divided by min(k, h)
ndcg         sum of 1 / log2(r + 1) over the same ranks, divided by the best possible sum,
             that of min(k, h) held-out items at the top
============ =============================================================================

Metrics beyond accuracy take the ranked items and what they compare them with. They average over
the users for whom they are defined. The popularity of an item is its share of the users who have a
history:

================ =========================================================================
novelty          mean of -log2(popularity) in bits; an item without users counts as if it
                 had one
popularity       mean popularity
popularity_shift mean popularity of the list minus that of the user's history
new_items        share of items without an interaction in training
Diversity        mean of 1 - cosine over the pairs of a list, in one modality; items without
                 the modality are left out
Calibration      divergence of the list's categories from the history's
================ =========================================================================

Two metrics have one value for all lists together:

============ =============================================================================
coverage     share of the catalogue that is in the first k of at least one user
gini         unevenness of the numbers of lists that have each item, from 0 (even)
============ =============================================================================
"""

from recsk.metrics.accuracy import hit_rate_at_k, precision_at_k, recall_at_k
from recsk.metrics.calibration import Calibration, calibration_at_k
from recsk.metrics.comparison import compare
from recsk.metrics.comparison_table import Comparison
from recsk.metrics.coverage import coverage_at_k
from recsk.metrics.diversity import Diversity, diversity_at_k
from recsk.metrics.evaluation import evaluate
from recsk.metrics.exposure import gini_at_k
from recsk.metrics.new_items import new_items_at_k
from recsk.metrics.novelty import novelty_at_k
from recsk.metrics.popularity import popularity_at_k, popularity_shift_at_k
from recsk.metrics.ranks import map_at_k, mrr_at_k, ndcg_at_k

__all__ = [
    "Calibration",
    "Comparison",
    "Diversity",
    "calibration_at_k",
    "compare",
    "coverage_at_k",
    "diversity_at_k",
    "evaluate",
    "gini_at_k",
    "hit_rate_at_k",
    "map_at_k",
    "mrr_at_k",
    "ndcg_at_k",
    "new_items_at_k",
    "novelty_at_k",
    "popularity_at_k",
    "popularity_shift_at_k",
    "precision_at_k",
    "recall_at_k",
]
