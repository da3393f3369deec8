"""Input data: interactions, labels, data frames and ordered histories."""

from recsk.data.interactions import Interactions
from recsk.data.matrices import interaction_matrix

__all__ = ["Interactions", "interaction_matrix"]
