"""What training goes on from: the weights of MDE's network that its vectors do not tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from recsk.graphs.neighbors import normalize_rows
from recsk.nn.mde import MDENetwork
from recsk.storage.state import StateReader

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

    @torch.no_grad()
    def load(
        self,
        network: MDENetwork,
        users: Floats,
        preference: tuple[Floats, Floats],
        seen: sp.csr_matrix,
    ) -> None:
        """Set the weights of a network for as many users and items, or more.

        Parameters
        ----------
        network : MDENetwork
            Changed in place.
        users : ndarray of shape (n_users, width)
            Initial vectors of users, all modalities side by side; estimates of new ones.
        preference : tuple of ndarray
            Logits of users, (n_users, n_modalities), and of the known items.
        seen : csr_matrix of shape (n_users, n_items)
            A new item starts at the mean direction of its users.
        """
        directions = users.reshape(len(users), network.n_modalities, -1)
        norms = np.linalg.norm(directions, axis=2)
        lengths = np.full_like(norms, self.user_lengths.mean())
        lengths[: len(self.user_lengths)] = self.user_lengths
        learned = directions * (lengths / np.maximum(norms, 1e-12))[:, :, None]
        network.user.copy_(torch.as_tensor(learned.reshape(len(users), -1)))
        if network.id_embedding != "none":
            means = normalize_rows(sp.csr_matrix(seen.T)) @ learned.mean(axis=1)
            scale = np.linalg.norm(self.item, axis=1).mean()
            item = means * (scale / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12))
            started = (self.item != 0).any(axis=1)
            item[: len(started)][started] = self.item[started]
            network.item.copy_(torch.as_tensor(item))
        if network.fixed_preference is None:
            network.user_preference.copy_(torch.as_tensor(preference[0]))
            network.item_preference[: len(preference[1])] = torch.as_tensor(preference[1])
        modules = {name: torch.as_tensor(value.copy()) for name, value in self.modules.items()}
        network.load_state_dict(modules, strict=False)

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
