"""Item features for searches on a cluster."""

from recsk.distributed.shared_features import SharedFeatures

__all__ = ["SharedFeatures"]
