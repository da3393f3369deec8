"""Item features: dense arrays by modality, with missing rows marked or filled."""

from recsk.features.dense import Features
from recsk.features.item_features import check_item_features
from recsk.features.missing import fill_missing_modalities

__all__ = ["Features", "check_item_features", "fill_missing_modalities"]
