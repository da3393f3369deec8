"""What training goes on from: the weights of MDSRec's network beside those of its encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.storage.state import StateReader

if TYPE_CHECKING:
    from recsk.nn.mdsrec import MDSRecNetwork

__all__ = ["MDSRecWeights"]

Floats = npt.NDArray[np.float32]
_ENCODER = "encoder."


class MDSRecWeights:
    """Learned weights of a network: vectors and biases of items, projections of features.

    Parameters
    ----------
    arrays : dict of str to ndarray
        By their names in the network, without those of the encoder.
    """

    def __init__(self, arrays: dict[str, Floats]) -> None:
        self.arrays = arrays

    @classmethod
    def of(cls, network: MDSRecNetwork) -> MDSRecWeights:
        """Take them out of a trained network."""
        state = network.state_dict().items()
        return cls({n: x.cpu().numpy().copy() for n, x in state if not n.startswith(_ENCODER)})

    def with_new_items(self, similar: sp.csr_matrix) -> MDSRecWeights:
        """Return the weights with new items behind the others.

        Parameters
        ----------
        similar : csr_matrix of shape (n, n_items)
            Weights of the known items that a new item is like: it starts at their mean.
        """
        arrays = dict(self.arrays)
        for name in ("item", "item_bias"):
            if name not in arrays:
                continue
            tables = arrays[name] if name == "item" else arrays[name][None]
            new = [np.vstack([x, similar @ x]).astype(np.float32) for x in tables]
            arrays[name] = np.stack(new) if name == "item" else new[0]
        return MDSRecWeights(arrays)

    def faded(self, known: float) -> MDSRecWeights:
        """Return the weights with shorter vectors of items, which then count less beside content.

        Long training on few data fits single items too closely, and learning goes on better from
        smaller weights (Ash and Adams, arXiv 1910.08475).

        Parameters
        ----------
        known : float
            Share of the interactions that the last training knew. Vectors are multiplied by its
            square, so that many small trainings and one large one fade them alike.
        """
        return MDSRecWeights({**self.arrays, "item": self.arrays["item"] * np.float32(known**2)})

    def load(self, network: MDSRecNetwork, encoder: dict[str, Floats]) -> None:
        """Set the weights of a network of as many items.

        Parameters
        ----------
        network : MDSRecNetwork
            Changed in place.
        encoder : dict of str to ndarray
            Weights of its encoder.
        """
        import torch

        arrays = self.arrays | {_ENCODER + name: value for name, value in encoder.items()}
        network.load_state_dict({name: torch.as_tensor(x.copy()) for name, x in arrays.items()})

    def get_state(self) -> dict[str, Any]:
        """Return all arrays."""
        return dict(self.arrays)

    @classmethod
    def from_state(cls, state: StateReader, n_items: int, n_factors: int) -> MDSRecWeights:
        """Read the dict that `get_state` returned.

        Raises
        ------
        ValueError
            If an array does not fit the number of items or factors.
        """
        shapes: dict[str, tuple[int | None, ...]] = {
            "item": (None, n_items, n_factors),
            "item_bias": (n_items, 1),
        }
        names = state.names()
        return cls({name: state.array(name, shapes.get(name)) for name in names})
