"""Searches and recommendations on a cluster."""

from recsk.distributed.recommending import recommend
from recsk.distributed.shared_features import SharedFeatures

__all__ = ["SharedFeatures", "recommend"]
