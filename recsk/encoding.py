"""A trained encoder of sequences as plain arrays, which reads sequences wherever it is loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recsk.nn.mdsrec import ItemTables, SequenceEncoder, last_states

__all__ = ["StoredEncoder"]


class StoredEncoder:
    """What a network of MDSRec needs to read new sequences, held as CPU arrays.

    Parameters
    ----------
    encoder : SequenceEncoder
        Trained.
    tables : ItemTables
        Of its network, after training.
    settings : dict
        The arguments that `SequenceEncoder` was made with.
    """

    def __init__(
        self, encoder: SequenceEncoder, tables: ItemTables, settings: dict[str, Any]
    ) -> None:
        self.settings = settings
        self.weights = {name: _array(value) for name, value in encoder.state_dict().items()}
        self.items = _array(tables.items)
        self.interests = None if tables.interests is None else _array(tables.interests)

    @torch.no_grad()
    def __call__(
        self, indptr: npt.NDArray[np.int64], items: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Read sequences on the CPU.

        Parameters
        ----------
        indptr : ndarray of shape (n + 1,)
        items : ndarray of shape (n_interactions,)
            Sequence u is ``items[indptr[u]:indptr[u + 1]]``, oldest first.

        Returns
        -------
        users : ndarray of shape (n, width), float32
            Without meaning for empty sequences.
        weights : ndarray of shape (n, n_modalities), float32
            How much each modality counted.
        """
        with torch.device("meta"):  # or initial weights would be drawn from the global state
            encoder = SequenceEncoder(**self.settings)
        weights = {name: _tensor(value) for name, value in self.weights.items()}
        encoder.load_state_dict(weights, assign=True)
        encoder.eval()
        interests = None if self.interests is None else _tensor(self.interests)
        states = last_states(encoder, ItemTables(_tensor(self.items), interests), indptr, items)
        return encoder.users(states).numpy(), encoder.weights(states).numpy()


def _array(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    return tensor.detach().cpu().numpy().copy()


def _tensor(array: npt.NDArray[np.float32]) -> torch.Tensor:
    # A memory-mapped array is read-only, of which torch warns; nothing here ever writes to it.
    return torch.as_tensor(array if array.flags.writeable else array.copy())
