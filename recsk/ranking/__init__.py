"""Find the best items for each user: exact top-k with exclusions, or approximate top-k."""

from recsk.ranking.approximate import ItemIndex
from recsk.ranking.blocks import top_k_of_blocks
from recsk.ranking.exact import similar, top_k
from recsk.ranking.users import Users, combine_scores

__all__ = [
    "ItemIndex",
    "Users",
    "combine_scores",
    "similar",
    "top_k",
    "top_k_of_blocks",
]
