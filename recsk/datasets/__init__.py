"""Synthetic data from known factors, and loaders of common data formats."""

from recsk.datasets.amazon import load_amazon_reviews
from recsk.datasets.mmrec import load_mmrec
from recsk.datasets.movielens import load_movielens
from recsk.datasets.synthetic import make_multimodal

__all__ = ["load_amazon_reviews", "load_mmrec", "load_movielens", "make_multimodal"]
