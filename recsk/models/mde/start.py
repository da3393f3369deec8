"""Initial weights of MDE near those that training ends at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

from recsk.features.dense import Features
from recsk.graphs.spectral import spectral_vectors
from recsk.nn.mde import MDENetwork

__all__ = ["start_from_spectrum"]

# Chosen on validation of TikTok and ML-100K. Large vectors of items leave no room for content.
_SCALE = 0.1
_NOISE = 0.1
_RIDGE = 1.0


@torch.no_grad()
def start_from_spectrum(
    network: MDENetwork,
    train_set: sp.csr_matrix,
    modalities: Sequence[Features],
    seed: int,
) -> None:
    r"""Set the vectors of users and items to singular vectors, and encoders to a regression.

    Training then begins with what a closed form knows, and few epochs are enough. In every modality
    a user starts at the same spectral vector, plus a tenth of its random one. The linear encoders
    start at the ridge regression of the items' spectral vectors on their features.

    Parameters
    ----------
    network : MDENetwork
        With random weights; changed in place.
    train_set : csr_matrix of shape (n_users, n_items)
    modalities : sequence of Features
    seed : int
    """
    users, items = spectral_vectors(train_set, network.n_factors, seed)
    tiled = torch.as_tensor(np.tile(users, (1, network.n_modalities)))
    network.user.mul_(_NOISE).add_(_SCALE * tiled.to(network.user.device))
    if network.id_embedding == "only":
        network.item.copy_(torch.as_tensor(items))
    elif network.id_embedding == "add":
        network.item.copy_(torch.as_tensor(_SCALE * items))
    known = np.diff(train_set.tocsc().indptr) > 0
    for encoder, (values, present) in zip(network.encoders, modalities, strict=True):
        if isinstance(encoder, nn.Linear) and (known & present).any():
            weight = _ridge(values[known & present], items[known & present])
            encoder.weight.copy_(torch.as_tensor(weight.T))
            encoder.bias.zero_()


def _ridge(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Regression of targets on inputs, with a penalty of the size of the mean column."""
    gram = inputs.T @ inputs
    gram[np.diag_indices_from(gram)] += max(_RIDGE * np.trace(gram) / len(gram), 1e-12)
    return np.linalg.solve(gram.astype(np.float64), inputs.T @ targets).astype(np.float32)
