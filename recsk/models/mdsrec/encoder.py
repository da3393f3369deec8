"""A trained sequence encoder as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsk.contract.running import network_state
from recsk.storage.state import StateReader

if TYPE_CHECKING:
    import torch

    from recsk.nn.encoder import ItemTables, SequenceEncoder

__all__ = ["StoredEncoder", "StoredInterests", "weight_shapes"]


class StoredInterests(NamedTuple):
    """`ItemInterests` as arrays."""

    centers: npt.NDArray[np.float32]
    cluster: npt.NDArray[np.int64]


class StoredEncoder:
    """A trained sequence encoder as CPU arrays; it encodes new sequences on any machine.

    Parameters
    ----------
    encoder : SequenceEncoder
        Trained.
    tables : ItemTables
        Of its network, after training.
    """

    def __init__(self, encoder: SequenceEncoder, tables: ItemTables) -> None:
        self.settings = encoder.settings
        self.weights = {name: _array(value) for name, value in encoder.state_dict().items()}
        self.items = _array(tables.items)
        self.interests = None
        if tables.interests is not None:
            self.interests = StoredInterests(*map(_array, tables.interests))

    def get_state(self) -> dict[str, Any]:
        """Return all arrays and settings, as a dict of arrays, numbers, strings and dicts."""
        state = {"settings": self.settings, "weights": self.weights, "items": self.items}
        return state if self.interests is None else {**state, **self.interests._asdict()}

    @property
    def width(self) -> int:
        """Columns of a user vector that come from the modalities."""
        parts = self.settings["n_modalities"] if self.settings["concatenate"] else 1
        return int(parts * self.settings["n_factors"])

    @classmethod
    def from_state(
        cls, state: StateReader, n_modalities: int, n_items: int, width: int
    ) -> StoredEncoder:
        """Make an encoder from the dict that `get_state` returned.

        Parameters
        ----------
        state : StateReader
        n_modalities, n_items : int
        width : int
            Width of the user vectors.

        Raises
        ------
        ValueError
            If anything is missing or does not fit the rest.
        """
        stored = cls.__new__(cls)
        stored.items = state.array("items", (n_modalities, n_items, None))
        weights = state.part("weights")
        stored.weights = {name: weights.array(name, None) for name in weights.names()}
        n_factors = stored.items.shape[2]
        stored.settings = _settings(state.part("settings"), stored.weights, n_factors)
        shapes = {name: weight.shape for name, weight in stored.weights.items()}
        if shapes != weight_shapes(stored.settings):
            raise ValueError("the weights of the encoder do not fit its settings")
        if stored.settings["n_modalities"] != n_modalities:
            raise ValueError(f"the encoder is not for {n_modalities} modalities")
        if width != stored.width + stored.settings["item_bias"]:
            raise ValueError(f"the encoder does not give vectors of width {width}")
        stored.interests = None
        if stored.settings["with_interests"]:
            stored.interests = _interests(state, stored.items.shape)
        return stored

    def with_new_items(self, similar: sp.csr_matrix) -> StoredEncoder:
        """Return an encoder with new items behind the others; this one stays as it is.

        Parameters
        ----------
        similar : csr_matrix of shape (n, n_items)
            Weights of the known items that a new item is like. In a history it counts as they do,
            and belongs to the interests of the most similar one.
        """
        grown = copy(self)
        new = np.stack([similar @ items for items in self.items]).astype(np.float32)
        grown.items = np.concatenate([self.items, new], axis=1)
        if self.interests is not None:
            centers, cluster = self.interests
            nearest = np.asarray(similar.argmax(axis=1)).ravel()
            grown.interests = StoredInterests(centers, np.hstack([cluster, cluster[:, nearest]]))
        return grown

    @network_state(training=False)
    def __call__(
        self,
        indptr: npt.NDArray[np.int64],
        items: npt.NDArray[np.int64],
        device: torch.device | str | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Encode sequences.

        Parameters
        ----------
        indptr : ndarray of shape (n + 1,)
        items : ndarray of shape (n_interactions,)
            Sequence u is ``items[indptr[u]:indptr[u + 1]]``, oldest first.
        device : torch.device or str, default=None
            Where they are encoded; None is the CPU.

        Returns
        -------
        users : ndarray of shape (n, width), float32
            Meaningless for empty sequences.
        weights : ndarray of shape (n, n_modalities), float32
            Weight of each modality.
        """
        import torch

        from recsk.nn.encoder import ItemInterests, ItemTables, encode_sequences
        from recsk.ranking.on_device import on_device

        where = torch.device("cpu" if device is None else device)
        encoder = _empty(self.settings)
        weights = {name: on_device(value, where) for name, value in self.weights.items()}
        encoder.load_state_dict(weights, assign=True)
        encoder.eval()
        interests = None
        if self.interests is not None:
            centers, cluster = self.interests
            interests = ItemInterests(on_device(centers, where), on_device(cluster, where))
        tables = ItemTables(on_device(self.items, where), interests)
        states = encode_sequences(encoder, tables, indptr, items)
        found = encoder.user_vectors(states), encoder.fusion_weights(states)
        users, of_modalities = (x.cpu().numpy() for x in found)
        return users, of_modalities


def _empty(settings: dict[str, Any]) -> SequenceEncoder:
    """Make an encoder whose weights take no memory."""
    import torch

    from recsk.nn.encoder import SequenceEncoder

    with torch.device("meta"):  # else initial weights would be drawn from the global random state
        return SequenceEncoder(**settings)


def weight_shapes(settings: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of an encoder by their names, without PyTorch.

    Parameters
    ----------
    settings : mapping
        The arguments of a `SequenceEncoder`.
    """
    n_modalities, d = settings["n_modalities"], settings["n_factors"]
    layers = {"out": (d, d), "item": (3 * d, d)}
    if settings["with_interests"]:
        layers["interest"] = (2 * d, d)
    block: dict[str, tuple[int, ...]] = {"norms.0": (d,), "norms.1": (d,)}
    block |= {f"attention.{name}": shape for name, shape in layers.items()}
    block |= {"feed_forward.0": (4 * d, d), "feed_forward.2": (d, 4 * d)}
    shapes: dict[str, tuple[int, ...]] = {
        "position": (n_modalities, settings["max_length"], d),
        "gate": (n_modalities, d),
        "gate_bias": (n_modalities,),
    }
    for m in range(n_modalities):
        parts: dict[str, tuple[int, ...]] = {f"norms.{m}": (d,)}
        if settings["with_interests"]:
            parts[f"interest_norms.{m}"] = (d,)
        for b in range(settings["n_blocks"]):
            parts |= {f"blocks.{m}.{b}.{name}": shape for name, shape in block.items()}
        for name, shape in parts.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def _settings(
    state: StateReader, weights: dict[str, npt.NDArray[np.float32]], n_factors: int
) -> dict[str, Any]:
    """Read the arguments of an encoder that is no larger than these weights."""
    position = weights.get("position")
    if position is None or position.ndim != 3 or position.shape[2] != n_factors:
        raise ValueError(f"the weights of the encoder need positions of width {n_factors}")
    n_modalities, max_length, _ = position.shape
    settings: dict[str, Any] = {
        "n_modalities": state.integer("n_modalities", n_modalities, n_modalities),
        "n_factors": state.integer("n_factors", n_factors, n_factors),
        "max_length": state.integer("max_length", max_length, max_length),
        "n_blocks": state.integer("n_blocks", 1),
        "n_heads": state.integer("n_heads", 1),
        "dropout": state.number("dropout", 0, 1),
        "with_interests": state.flag("with_interests"),
        "fusion": state.choice("fusion", ("gumbel", "softmax", "mean")),
        "tau": state.number("tau", np.nextafter(0, 1)),
        "concatenate": state.flag("concatenate"),
        "similarity": state.choice("similarity", ("cosine", "dot")),
        "item_bias": state.flag("item_bias"),
        "recent_weight": state.number("recent_weight", 0, 1e15),
    }
    if n_factors % settings["n_heads"]:
        raise ValueError(f"{settings['n_heads']} heads do not share a width of {n_factors}")
    if 12 * n_modalities * settings["n_blocks"] > len(weights):  # a block has at least so many
        raise ValueError(f"{len(weights)} weights do not make {settings['n_blocks']} blocks")
    return settings


def _interests(state: StateReader, shape: tuple[int, int, int]) -> StoredInterests:
    """Read the centers of the clusters, and the cluster of each item."""
    n_modalities, n_items, n_factors = shape
    centers = state.array("centers", (n_modalities, None, n_factors))
    cluster = state.array("cluster", (n_modalities, n_items), np.int64)
    if cluster.min(initial=0) < 0 or cluster.max(initial=0) >= centers.shape[1]:
        raise ValueError(f"encoder.cluster goes beyond the {centers.shape[1]} centers")
    return StoredInterests(centers, cluster)


def _array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    return tensor.detach().cpu().numpy().copy()
