"""Synthetic data with a known truth, and readers of the formats in use."""

from recsk.datasets._amazon import load_amazon_reviews
from recsk.datasets._mmrec import load_mmrec
from recsk.datasets._movielens import load_movielens
from recsk.datasets._synthetic import make_multimodal

__all__ = ["load_amazon_reviews", "load_mmrec", "load_movielens", "make_multimodal"]
