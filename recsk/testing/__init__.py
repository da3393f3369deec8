"""Checks that a recommender, of this package or another, keeps the contract; without pytest."""

from recsk.testing.checks import check_recommender, recommender_checks

__all__ = ["check_recommender", "recommender_checks"]
