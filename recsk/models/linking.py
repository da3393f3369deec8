"""Links between similar items that trainings share."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from recsk.contract.preparation import Prepared
from recsk.graphs.links import grow_links
from recsk.graphs.neighbors import cosine_neighbors
from recsk.models.explaining import ExplainedRecommender
from recsk.storage.state import StateReader, weights_state

__all__ = ["LinkingRecommender"]


class LinkingRecommender(ExplainedRecommender):
    """A network on graphs of items that are similar in a modality.

    The search takes the square of the number of items. A fit keeps what it finds, and a later
    training searches where something has changed. A subclass sets `_links` and `_n_linked` in its
    `_keep`.
    """

    _links: list[sp.csr_array]  # similar items by modality, of the last training
    _n_linked: int  # similar items of each item there

    def _link_items(self, prepared: Prepared[Any], n_neighbors: int) -> list[sp.csr_array]:
        """Find the similar items of each item by modality; none without neighbours."""
        if not n_neighbors or not prepared.features:
            return []
        if prepared.growth is None or n_neighbors != self._n_linked or not self._links:
            found = [
                cosine_neighbors(values, present, n_neighbors)
                for values, present in prepared.modalities
            ]
            return [sp.csr_array(links) for links in found]
        pairs = zip(self._links, prepared.modalities, strict=True)
        changed = prepared.growth.changed | (
            np.arange(prepared.interactions.n_items) >= self._links[0].shape[0]
        )
        return [grow_links(links, *part, n_neighbors, changed) for links, part in pairs]

    def get_state(self) -> dict[str, Any]:
        """Return the fitted state for `recsk.save`."""
        return {
            **super().get_state(),
            "links": {
                "n_neighbors": self._n_linked,
                "n_items": self._links[0].shape[0] if self._links else 0,
                **{str(m): weights_state(links) for m, links in enumerate(self._links)},
            },
        }

    def set_state(self, state: StateReader) -> None:
        """Set the state that `get_state` returned."""
        super().set_state(state)
        self._links, self._n_linked = [], 0
        links = state.part("links")
        if not links.names():
            return  # a file of a version that kept none: the next training searches
        self._n_linked = links.integer("n_neighbors", 0)
        n_items = links.integer("n_items", 0, self.n_features_in_)
        n_links = len(self.modality_names_) if n_items else 0
        shape = n_items, n_items
        self._links = [sp.csr_array(links.weights(str(m), shape)) for m in range(n_links)]
