"""The sequence encoder of MDSRec: transformer blocks for each modality.

Shapes use I items, M modalities, width d, and B sequences of at most L items. Sequences are padded
at the end. Attention is causal: no position sees the padding, so that the causal mask is enough.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from recsk.nn.dropout import Dropout
from recsk.nn.precision import upcast
from recsk.nn.propagation import gather
from recsk.nn.sequences import SequenceShare, pad_sequences
from recsk.nn.unit import unit_vectors

__all__ = ["ItemInterests", "ItemTables", "SequenceEncoder", "encode_sequences"]

_RECENT_DECAY = 0.7  # of an item's weight for each step back


class ItemInterests(NamedTuple):
    """The interests (clusters) of items in every modality.

    Attributes
    ----------
    centers : Tensor of shape (M, n_interests + 1, d)
        Centers of the clusters; the last one is zero, for items in no cluster.
    cluster : Tensor of shape (M, I), int64
        Cluster of each item.
    """

    centers: torch.Tensor
    cluster: torch.Tensor


class ItemTables(NamedTuple):
    """Vectors and interests of all items, which the encoder looks up by item.

    Attributes
    ----------
    items : Tensor of shape (M, I, d)
        Vectors :math:`E_m` of every modality.
    interests : ItemInterests or None
    """

    items: torch.Tensor
    interests: ItemInterests | None = None


# Centers of a modality (n_interests + 1, d), and the cluster at each position (B, L).
_Interest = tuple[torch.Tensor, torch.Tensor]


class SequenceEncoder(nn.Module):
    """Encode sequences to one state per modality, and fuse these states to vectors of users.

    Parameters
    ----------
    n_modalities, n_factors, max_length, n_blocks, n_heads : int
    dropout : float
    with_interests : bool
        Whether attention compares interests in addition to items.
    fusion : {"softmax", "gumbel", "mean"}
    tau : float
        Temperature of the fusion weights.
    concatenate : bool
        Whether the modalities are concatenated in the vector of a user; otherwise they are summed.
    similarity : {"cosine", "dot"}
        How a score compares the vectors of a user and an item.
    item_bias : bool
        Whether a bias of each item is added to its score. Vectors of users then end in a one.
    recent_weight : float
        Weight of the last items' mean vector in each state, relative to what the blocks give.
    """

    def __init__(
        self,
        *,
        n_modalities: int,
        n_factors: int,
        max_length: int,
        n_blocks: int,
        n_heads: int,
        dropout: float,
        with_interests: bool,
        fusion: Literal["softmax", "gumbel", "mean"],
        tau: float,
        concatenate: bool,
        similarity: Literal["cosine", "dot"],
        item_bias: bool,
        recent_weight: float,
    ) -> None:
        super().__init__()
        # All arguments: files store them, to rebuild an encoder from its weights.
        self.settings: dict[str, Any] = {
            "n_modalities": n_modalities,
            "n_factors": n_factors,
            "max_length": max_length,
            "n_blocks": n_blocks,
            "n_heads": n_heads,
            "dropout": dropout,
            "with_interests": with_interests,
            "fusion": fusion,
            "tau": tau,
            "concatenate": concatenate,
            "similarity": similarity,
            "item_bias": item_bias,
            "recent_weight": recent_weight,
        }
        self.max_length = max_length
        self.fusion, self.tau = fusion, tau
        self.concatenate, self.similarity = concatenate, similarity
        self.item_bias, self.recent_weight = item_bias, recent_weight
        self.position = nn.Parameter(torch.empty(n_modalities, max_length, n_factors))
        self.norms = nn.ModuleList(nn.LayerNorm(n_factors) for _ in range(n_modalities))
        # Means of many vectors are short: without norms, interests would hardly have an effect.
        self.interest_norms = nn.ModuleList(
            nn.LayerNorm(n_factors) for _ in range(n_modalities if with_interests else 0)
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                _Block(n_factors, n_heads, dropout, with_interests) for _ in range(n_blocks)
            )
            for _ in range(n_modalities)
        )
        self.dropout = Dropout(dropout)
        self.gate = nn.Parameter(torch.empty(n_modalities, n_factors))
        self.gate_bias = nn.Parameter(torch.zeros(n_modalities))

    def forward(
        self,
        tables: ItemTables,
        items: torch.Tensor,
        selected: torch.Tensor,
        share: SequenceShare | None = None,
    ) -> torch.Tensor:
        """Encode sequences and return the states at the selected positions.

        Parameters
        ----------
        tables : ItemTables
        items : Tensor of shape (B, L), int64
            Padded at the end with any item.
        selected : Tensor of shape (n,), int64
            Distinct positions in the flattened (B * L,), in ascending order.
        share : SequenceShare, default=None
            If the sequences are the share of a process: noise is that of the whole batch.

        Returns
        -------
        Tensor of shape (n, M, d)
        """
        states = []
        for m, blocks in enumerate(self.blocks):
            embedded = functional.embedding(items, tables.items[m])
            x = self.norms[m](embedded + self.position[m, : items.shape[1]])
            x = self.dropout(x, share)
            interest = None
            if tables.interests is not None:
                # Dropout is drawn once per center and step, for all positions of its cluster.
                centers = self.dropout(self.interest_norms[m](tables.interests.centers[m]))
                interest = centers, tables.interests.cluster[m][items]
            for block in cast(nn.ModuleList, blocks):
                x = block(x, interest, share)
            if self.recent_weight:
                recent = unit_vectors(_recent_mean(embedded))
                x = torch.add(unit_vectors(x), recent, alpha=self.recent_weight)
            flat = x.flatten(0, 1)
            # Without padding all are selected.
            states.append(flat if len(selected) == len(flat) else gather(flat, selected))
        return torch.stack(states, dim=1)

    def fusion_weights(
        self, states: torch.Tensor, share: SequenceShare | None = None
    ) -> torch.Tensor:
        """Compute the weights of the modalities, (n, M); noisy in training only."""
        n_modalities = states.shape[1]
        if n_modalities == 1 or self.fusion == "mean":
            return states.new_full(states.shape[:2], 1 / n_modalities)
        logits = (states * self.gate).sum(dim=2) + self.gate_bias
        if self.fusion == "gumbel" and self.training:
            if share is not None and logits.device.type == "cpu":
                noise = logits.new_empty(share.n_targets, n_modalities).exponential_().log()
                logits = logits - noise[share.own]
                return (logits / self.tau).softmax(dim=1)
            return functional.gumbel_softmax(logits, tau=self.tau, dim=1)
        return (logits / self.tau).softmax(dim=1)

    def user_vectors(
        self, states: torch.Tensor, share: SequenceShare | None = None
    ) -> torch.Tensor:
        """Fuse the states of users (n, M, d) to one vector per user, for scoring items."""
        weights = self.fusion_weights(states, share)[:, :, None]
        if self.concatenate:
            users = (self.to_score_space(states) * weights).flatten(1)
        else:
            users = self.to_score_space((states * weights).sum(dim=1))
        return self.append_bias_input(users)

    def append_bias_input(self, vectors: torch.Tensor) -> torch.Tensor:
        """Append a one to vectors of users, which multiplies the bias of an item, if any."""
        return functional.pad(vectors, (0, 1), value=1.0) if self.item_bias else vectors

    def to_score_space(self, vectors: torch.Tensor) -> torch.Tensor:
        """Scale vectors so that inner products of users and items are scores."""
        return unit_vectors(vectors) if self.similarity == "cosine" else vectors


def _recent_mean(embedded: torch.Tensor) -> torch.Tensor:
    """Sum the directions of the items up to each position, the last with weight one."""
    place = torch.arange(embedded.shape[1], device=embedded.device)
    age = place[:, None] - place
    weight = (_RECENT_DECAY ** age.clamp(min=0)).tril()
    return weight.to(embedded.dtype) @ unit_vectors(embedded)


class _Block(nn.Module):
    """Causal attention and a feed-forward network, each followed by a residual sum and a norm."""

    def __init__(self, n_factors: int, n_heads: int, dropout: float, with_interests: bool) -> None:
        super().__init__()
        self.attention = _Attention(n_factors, n_heads, dropout, with_interests)
        self.feed_forward = nn.Sequential(
            nn.Linear(n_factors, 4 * n_factors), nn.GELU(), nn.Linear(4 * n_factors, n_factors)
        )
        self.norms = nn.ModuleList([nn.LayerNorm(n_factors), nn.LayerNorm(n_factors)])
        self.dropout = Dropout(dropout)

    def forward(
        self, x: torch.Tensor, interest: _Interest | None, share: SequenceShare | None
    ) -> torch.Tensor:
        x = self.norms[0](x + self.dropout(self.attention(x, interest, share), share))
        return self.norms[1](x + self.dropout(self.feed_forward(x), share))


class _Attention(nn.Module):
    r"""Causal attention that compares items and interests (MDSRec, ICA).

    .. math:: \mathrm{softmax}\left( \frac{Q K^T + Q' K'^T}{\sqrt{d / h}} \right) V

    On the CPU, the heads are slices of the projections, which are never copied. On other devices
    one call of PyTorch's attention is enough, whose kernels are fused: the sum of the two products
    equals one product of concatenated queries and keys.
    """

    def __init__(self, n_factors: int, n_heads: int, dropout: float, with_interests: bool) -> None:
        super().__init__()
        self.n_heads, self.width = n_heads, n_factors // n_heads
        self.dropout = Dropout(dropout)
        self.scale = self.width**-0.5
        self.item = nn.Linear(n_factors, 3 * n_factors)
        self.interest = nn.Linear(n_factors, 2 * n_factors) if with_interests else None
        self.out = nn.Linear(n_factors, n_factors)

    def forward(
        self, x: torch.Tensor, interest: _Interest | None, share: SequenceShare | None
    ) -> torch.Tensor:
        of_items, of_centers, cluster = self.item(x), None, None
        if self.interest is not None and interest is not None:
            # There are fewer centers than positions: each center is projected once.
            of_centers, cluster = self.interest(interest[0]), interest[1]
        if x.device.type == "cpu":
            return self.out(self._attend_by_head(of_items, of_centers, cluster, share))
        return self.out(self._attend_fused(of_items, of_centers, cluster))

    def _attend_by_head(
        self,
        of_items: torch.Tensor,
        of_centers: torch.Tensor | None,
        cluster: torch.Tensor | None,
        share: SequenceShare | None,
    ) -> torch.Tensor:
        n_heads, length = self.n_heads, of_items.shape[1]
        items = of_items.split(self.width, dim=2)  # the heads of all queries, keys, values
        if of_centers is not None and cluster is not None:
            n_centers = len(of_centers)
            query, key = of_centers.unflatten(1, (2, n_heads, self.width)).unbind(1)
            products = upcast(torch.einsum("ihd,jhd->ihj", query, key)).flatten(1)
            # Products of the center at each position and all centers; member picks those of keys.
            interests = functional.embedding(cluster, products).split(n_centers, dim=2)
            member = functional.one_hot(cluster, n_centers).to(products.dtype).mT
        future = of_items.new_full((length, length), -torch.inf).triu_(1)
        attended = []
        for head in range(n_heads):
            query, key, value = items[head::n_heads]
            logits = torch.baddbmm(future, query, key.mT, alpha=self.scale)
            if of_centers is not None:
                logits = torch.baddbmm(logits, interests[head], member, alpha=self.scale)
            attended.append(self.dropout(upcast(logits).softmax(dim=2), share) @ value)
        return torch.cat(attended, dim=2)

    def _attend_fused(
        self,
        of_items: torch.Tensor,
        of_centers: torch.Tensor | None,
        cluster: torch.Tensor | None,
    ) -> torch.Tensor:
        query, key, value = (self._split_heads(part) for part in of_items.chunk(3, dim=2))
        if of_centers is not None and cluster is not None:
            # The gradient of a center is a sum over its positions, in float32.
            of_interests = functional.embedding(cluster, upcast(of_centers)).to(query.dtype)
            more_query, more_key = (self._split_heads(x) for x in of_interests.chunk(2, dim=2))
            query, key = torch.cat([query, more_query], dim=3), torch.cat([key, more_key], dim=3)
        attended = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            is_causal=True,
            scale=self.scale,
            dropout_p=self.dropout.p if self.training else 0.0,
        )
        return attended.transpose(1, 2).flatten(2)

    def _split_heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(2, (self.n_heads, -1)).transpose(1, 2)


@torch.no_grad()
def encode_sequences(
    encoder: SequenceEncoder,
    tables: ItemTables,
    indptr: npt.NDArray[np.int64],
    items: npt.NDArray[np.int64],
    *,
    batch_size: int = 512,
) -> torch.Tensor:
    """Encode sequences, each cut to its last `max_length` items, and return their last states.

    Parameters
    ----------
    encoder : SequenceEncoder
    tables : ItemTables
    indptr : ndarray of shape (n + 1,)
    items : ndarray of shape (n_interactions,)
        Sequence u is ``items[indptr[u]:indptr[u + 1]]``.
    batch_size : int, default=512

    Returns
    -------
    Tensor of shape (n, M, d)
        Zero for empty sequences.
    """
    device = tables.items.device
    length = np.minimum(np.diff(indptr), encoder.max_length)
    n_modalities, _, n_factors = tables.items.shape
    states = torch.zeros(len(length), n_modalities, n_factors, device=device)
    order = np.argsort(length, kind="stable")  # similar lengths: little padding
    order = order[length[order] > 0]
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        padded, _ = pad_sequences(items, indptr[rows + 1] - length[rows], length[rows])
        ends = np.arange(len(rows)) * padded.shape[1] + length[rows] - 1
        states[torch.as_tensor(rows, device=device)] = encoder(
            tables,
            torch.as_tensor(padded, device=device),
            torch.as_tensor(ends, device=device),
        )
    return states
