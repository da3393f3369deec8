"""What training goes on from: the weights of MDE's network that its vectors do not tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recsk.storage.state import StateReader

if TYPE_CHECKING:
    import torch

    from recsk.nn.mde import MDENetwork

__all__ = ["MDEWeights"]

Floats = npt.NDArray[np.float32]
_MODULES = ("encoders.", "gates.")


@dataclass(frozen=True)
class MDEWeights:
    """Learned weights of a network, beside those that `FoldIn` has.

    Attributes
    ----------
    item : ndarray of shape (n_items, n_factors), or (0, n_factors) without learned vectors
    user_lengths : ndarray of shape (n_users, n_modalities)
        Of the learned vectors of users; `FoldIn` has their directions.
    modules : dict of str to ndarray
        Weights of encoders and gates, by their names in the network.
    projections : dict of str to ndarray of shape (n_columns, n_reduced)
        What the features of a modality are multiplied by, by its position; absent where encoders
        see them as they are.
    """

    item: Floats
    user_lengths: Floats
    modules: dict[str, Floats]
    projections: dict[str, Floats]

    @classmethod
    def of(cls, network: MDENetwork, projections: Sequence[Floats | None]) -> MDEWeights:
        """Take them out of a trained network."""
        state = {name: _array(value) for name, value in network.state_dict().items()}
        users = state["user"].reshape(network.n_users, network.n_modalities, -1)
        return cls(
            state.get("item", np.empty((0, network.n_factors), np.float32)),
            np.linalg.norm(users, axis=2),
            {name: value for name, value in state.items() if name.startswith(_MODULES)},
            {str(m): x for m, x in enumerate(projections) if x is not None},
        )

    def with_new_items(self, n: int) -> MDEWeights:
        """Return the weights with `n` items behind the others."""
        if not len(self.item):
            return self
        new = np.zeros((n, self.item.shape[1]), np.float32)
        return replace(self, item=np.vstack([self.item, new]))

    def get_state(self) -> dict[str, Any]:
        """Return all arrays, as a dict of arrays and dicts."""
        return dict(vars(self))

    @classmethod
    def from_state(
        cls, state: StateReader, n_users: int, n_items: int, n_modalities: int
    ) -> MDEWeights:
        """Read the dict that `get_state` returned.

        Raises
        ------
        ValueError
            If anything is missing or does not fit the rest.
        """
        modules, projections = state.part("modules"), state.part("projections")
        item = state.array("item", None)
        if item.ndim != 2 or len(item) not in (0, n_items):
            raise ValueError(f"weights.item must have {n_items} rows, or none")
        return cls(
            item,
            state.array("user_lengths", (n_users, n_modalities)),
            {name: modules.array(name, None) for name in modules.names()},
            {name: projections.array(name, (None, None)) for name in projections.names()},
        )


def _array(tensor: torch.Tensor) -> Floats:
    return tensor.detach().cpu().numpy().copy()
