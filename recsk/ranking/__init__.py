"""Find the best items for each user: exact top-k with exclusions, or approximate top-k."""

from recsk.ranking.approximate import ItemIndex
from recsk.ranking.exact import similar, top_k
from recsk.ranking.seen import top_k_with_seen

__all__ = ["ItemIndex", "similar", "top_k", "top_k_with_seen"]
