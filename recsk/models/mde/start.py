"""Initial weights of MDE: near those that training ends at, or those of the last training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import nn

from recsk.features.dense import Features
from recsk.graphs.neighbors import normalize_rows
from recsk.graphs.spectral import spectral_vectors
from recsk.models.mde.weights import MDEWeights
from recsk.nn.mde import MDENetwork

__all__ = ["start_from_spectrum", "start_from_weights"]

Floats = npt.NDArray[np.float32]

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


@torch.no_grad()
def start_from_weights(
    network: MDENetwork,
    weights: MDEWeights,
    users: Floats,
    preference: tuple[Floats, Floats],
    seen: sp.csr_matrix,
) -> None:
    """Set the weights of a network for as many users and items as an earlier one had, or more.

    Parameters
    ----------
    network : MDENetwork
        Changed in place.
    weights : MDEWeights
        Of the last training.
    users : ndarray of shape (n_users, width)
        Initial vectors of users, all modalities side by side; estimates of new ones.
    preference : tuple of ndarray
        Logits of users, (n_users, n_modalities), and of the known items.
    seen : csr_matrix of shape (n_users, n_items)
        A new item starts at the mean direction of its users.
    """
    directions = users.reshape(len(users), network.n_modalities, -1)
    norms = np.linalg.norm(directions, axis=2)
    lengths = np.full_like(norms, weights.user_lengths.mean())
    lengths[: len(weights.user_lengths)] = weights.user_lengths
    learned = directions * (lengths / np.maximum(norms, 1e-12))[:, :, None]
    network.user.copy_(torch.as_tensor(learned.reshape(len(users), -1)))
    if network.id_embedding != "none":
        means = normalize_rows(sp.csr_matrix(seen.T)) @ learned.mean(axis=1)
        scale = np.linalg.norm(weights.item, axis=1).mean()
        item = means * (scale / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12))
        started = (weights.item != 0).any(axis=1)
        item[: len(started)][started] = weights.item[started]
        network.item.copy_(torch.as_tensor(item))
    if network.fixed_preference is None:
        network.user_preference.copy_(torch.as_tensor(preference[0]))
        network.item_preference[: len(preference[1])] = torch.as_tensor(preference[1])
    modules = {name: torch.as_tensor(value.copy()) for name, value in weights.modules.items()}
    network.load_state_dict(modules, strict=False)


def _ridge(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Regression of targets on inputs, with a penalty of the size of the mean column."""
    gram = inputs.T @ inputs
    gram[np.diag_indices_from(gram)] += max(_RIDGE * np.trace(gram) / len(gram), 1e-12)
    return np.linalg.solve(gram.astype(np.float64), inputs.T @ targets).astype(np.float32)
