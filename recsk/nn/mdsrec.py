"""The network of MDSRec and its objective (arXiv 2412.08103).

Shapes are written with I items, M modalities, width d, and B sequences of at most L items.
Sequences are padded at the end: attention only looks back, so that no real position ever sees
the padding and no mask but the causal one is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from recsk.nn.modality import Modality
from recsk.nn.propagation import SparseOperator, gather
from recsk.nn.sequences import SequenceBatch, pad
from recsk.nn.softmax import softmax_loss

__all__ = [
    "Interests",
    "ItemInterests",
    "ItemTables",
    "MDSRecNetwork",
    "MDSRecObjective",
    "SequenceEncoder",
    "last_states",
]


class Interests(NamedTuple):
    """The clusters of one modality.

    Attributes
    ----------
    mean : SparseOperator of shape (n_interests + 1, I)
        From the vectors of items to the center of each cluster; the last row is empty.
    cluster : Tensor of shape (I,), int64
        The row of each item: the last one where it lacks the modality.
    """

    mean: SparseOperator
    cluster: torch.Tensor


class ItemInterests(NamedTuple):
    """What the interests of items are, for every modality.

    Attributes
    ----------
    centers : Tensor of shape (M, n_interests + 1, d)
        Of the clusters, and zero for items in none.
    cluster : Tensor of shape (M, I), int64
        Which of these each item belongs to.
    """

    centers: torch.Tensor
    cluster: torch.Tensor


class ItemTables(NamedTuple):
    """What sequences look up, for every modality.

    Attributes
    ----------
    items : Tensor of shape (M, I, d)
        :math:`E_m`.
    interests : ItemInterests or None
    """

    items: torch.Tensor
    interests: ItemInterests | None = None


# The centers of a modality (n_interests + 1, d), and which of them is at each position (B, L).
_Interest = tuple[torch.Tensor, torch.Tensor]


class SequenceEncoder(nn.Module):
    """From sequences to one state per modality, and from these to vectors of users.

    Parameters
    ----------
    n_modalities, n_factors, max_length, n_blocks, n_heads : int
    dropout : float
    with_interests : bool
        Whether attention looks at interests beside items.
    fusion : {"gumbel", "softmax", "mean"}
    tau : float
        Temperature of the fusion.
    concatenate : bool
        Whether a user keeps one part per modality, or the parts are added up.
    similarity : {"cosine", "dot"}
        What a score is.
    item_bias : bool
        Whether a number of each item is added to its score: vectors of users end in a one.
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
        fusion: Literal["gumbel", "softmax", "mean"],
        tau: float,
        concatenate: bool,
        similarity: Literal["cosine", "dot"],
        item_bias: bool,
    ) -> None:
        super().__init__()
        self.max_length = max_length
        self.fusion, self.tau = fusion, tau
        self.concatenate, self.similarity = concatenate, similarity
        self.item_bias = item_bias
        self.position = nn.Parameter(torch.empty(n_modalities, max_length, n_factors))
        self.norms = nn.ModuleList(nn.LayerNorm(n_factors) for _ in range(n_modalities))
        # Means of many vectors are short: without this, interests would hardly be heard.
        self.interest_norms = nn.ModuleList(
            nn.LayerNorm(n_factors) for _ in range(n_modalities if with_interests else 0)
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                _Block(n_factors, n_heads, dropout, with_interests) for _ in range(n_blocks)
            )
            for _ in range(n_modalities)
        )
        self.dropout = _Dropout(dropout)
        self.gate = nn.Parameter(torch.empty(n_modalities, n_factors))
        self.gate_bias = nn.Parameter(torch.zeros(n_modalities))

    def forward(self, tables: ItemTables, items: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """Read sequences.

        Parameters
        ----------
        tables : ItemTables
        items : Tensor of shape (B, L), int64
            Padded at the end with any item.
        place : Tensor of shape (n,), int64
            Positions whose states are wanted, in the flattened (B * L,).

        Returns
        -------
        Tensor of shape (n, M, d)
        """
        states = []
        for m, blocks in enumerate(self.blocks):
            x = functional.embedding(items, tables.items[m])
            x = self.dropout(self.norms[m](x + self.position[m, : items.shape[1]]))
            interest = None
            if tables.interests is not None:
                # Dropped once for a step, for every position that looks at the center.
                centers = self.dropout(self.interest_norms[m](tables.interests.centers[m]))
                interest = centers, tables.interests.cluster[m][items]
            for block in cast(nn.ModuleList, blocks):
                x = block(x, interest)
            states.append(x.flatten(0, 1)[place])
        return torch.stack(states, dim=1)

    def weights(self, states: torch.Tensor) -> torch.Tensor:
        """How much each modality counts, (n, M); noise in training only."""
        n_modalities = states.shape[1]
        if n_modalities == 1 or self.fusion == "mean":
            return states.new_full(states.shape[:2], 1 / n_modalities)
        logits = (states * self.gate).sum(dim=2) + self.gate_bias
        if self.fusion == "gumbel" and self.training:
            return functional.gumbel_softmax(logits, tau=self.tau, dim=1)
        return (logits / self.tau).softmax(dim=1)

    def users(self, states: torch.Tensor) -> torch.Tensor:
        """Join the (n, M, d) states of users into the vectors that are compared with items."""
        weights = self.weights(states)[:, :, None]
        if self.concatenate:
            users = (self.comparable(states) * weights).flatten(1)
        else:
            users = self.comparable((states * weights).sum(dim=1))
        return self.with_one(users)

    def with_one(self, vectors: torch.Tensor) -> torch.Tensor:
        """Let vectors of users end in a one where items have a bias there."""
        return functional.pad(vectors, (0, 1), value=1.0) if self.item_bias else vectors

    def comparable(self, vectors: torch.Tensor) -> torch.Tensor:
        """Give vectors whose inner product is the score."""
        return functional.normalize(vectors, dim=-1) if self.similarity == "cosine" else vectors


class _Dropout(nn.Module):
    """Dropout; on the CPU by uniform numbers, which are drawn in a fraction of PyTorch's time."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.p or x.device.type != "cpu":
            return functional.dropout(x, self.p, self.training)
        return x * (torch.rand_like(x) >= self.p).to(x.dtype).mul_(1 / (1 - self.p))


class _Block(nn.Module):
    """Causal attention and a feed-forward network, each with a residual and a norm after it."""

    def __init__(self, n_factors: int, n_heads: int, dropout: float, with_interests: bool) -> None:
        super().__init__()
        self.attention = _Attention(n_factors, n_heads, dropout, with_interests)
        self.feed_forward = nn.Sequential(
            nn.Linear(n_factors, 4 * n_factors), nn.GELU(), nn.Linear(4 * n_factors, n_factors)
        )
        self.norms = nn.ModuleList([nn.LayerNorm(n_factors), nn.LayerNorm(n_factors)])
        self.dropout = _Dropout(dropout)

    def forward(self, x: torch.Tensor, interest: _Interest | None) -> torch.Tensor:
        x = self.norms[0](x + self.dropout(self.attention(x, interest)))
        return self.norms[1](x + self.dropout(self.feed_forward(x)))


class _Attention(nn.Module):
    r"""Causal attention by items and by interests (MDSRec, ICA).

    .. math:: \mathrm{softmax}\left( \frac{Q K^T + Q' K'^T}{\sqrt{d / h}} \right) V

    The sum of the two products is one product of what is joined along the width, so that it
    remains a single call of PyTorch's attention, whose kernels on CUDA then are fused.
    """

    def __init__(self, n_factors: int, n_heads: int, dropout: float, with_interests: bool) -> None:
        super().__init__()
        self.n_heads, self.p = n_heads, dropout
        self.scale = (n_factors / n_heads) ** -0.5
        self.item = nn.Linear(n_factors, 3 * n_factors)
        self.interest = nn.Linear(n_factors, 2 * n_factors) if with_interests else None
        self.out = nn.Linear(n_factors, n_factors)

    def forward(self, x: torch.Tensor, interest: _Interest | None) -> torch.Tensor:
        query, key, value = (self._heads(part) for part in self.item(x).chunk(3, dim=2))
        if self.interest is not None and interest is not None:
            centers, cluster = interest
            # There are fewer centers than positions: each is projected once, then looked up.
            joined = functional.embedding(cluster, self.interest(centers))
            more = [self._heads(part) for part in joined.chunk(2, dim=2)]
            query, key = torch.cat([query, more[0]], dim=3), torch.cat([key, more[1]], dim=3)
        attended = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            is_causal=True,
            scale=self.scale,
            dropout_p=self.p if self.training else 0.0,
        )
        return self.out(attended.transpose(1, 2).flatten(2))

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(2, (self.n_heads, -1)).transpose(1, 2)


class MDSRecNetwork(nn.Module):
    """Items in every modality, and the encoder of sequences of them.

    Parameters
    ----------
    encoder : SequenceEncoder
    modalities : sequence of Modality
        Empty: one modality that is the learned vector of each item.
    graphs : sequence of SparseOperator of shape (I, I), one per modality, or None
        Relations along which the learned vectors are propagated; None leaves them as they are.
    interests : sequence of Interests, one per modality, or None
    n_items, n_factors : int
    shared_ids : bool
        Whether an item has one learned vector for all modalities, not one for each.
    project_features : bool
        Whether a linear projection of the features is added to the vectors of the items.
    item_vectors : {"modality", "mean", "id"}
        What a user is compared with: the vectors of every modality with the user's of the same,
        or one vector for all, the mean over modalities of these or of the learned ones.
    met : Tensor of shape (I, 1)
        One where somebody met the item, zero where nobody did.
    generator : torch.Generator
        On the CPU: the same seed gives the same initial weights on every device.
    """

    met: torch.Tensor
    cluster: torch.Tensor

    def __init__(
        self,
        encoder: SequenceEncoder,
        modalities: Sequence[Modality],
        graphs: Sequence[SparseOperator] | None,
        interests: Sequence[Interests] | None,
        *,
        n_items: int,
        n_factors: int,
        shared_ids: bool,
        project_features: bool,
        item_vectors: Literal["modality", "mean", "id"],
        met: torch.Tensor,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.modalities = list(modalities)
        self.graphs = graphs
        self.means = None if interests is None else [each.mean for each in interests]
        if interests is not None:
            cluster = torch.stack([each.cluster for each in interests])
            self.register_buffer("cluster", cluster, persistent=False)
        self.item_vectors = item_vectors
        n_ids = 1 if shared_ids else max(len(self.modalities), 1)
        self.item = nn.Parameter(torch.empty(n_ids, n_items, n_factors))
        self.item_bias = nn.Parameter(torch.empty(n_items, 1)) if encoder.item_bias else None
        self.register_buffer("met", met, persistent=False)
        self.projections = nn.ModuleList(
            nn.Linear(modality.features.shape[1], n_factors)
            for modality in self.modalities
            if project_features
        )
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if "norm" not in name:
                    parameter.normal_(0.0, 0.02, generator=generator)
                if name.endswith("bias"):
                    parameter.zero_()

    def tables(self) -> ItemTables:
        """Vectors of all items and of their interests (MRGC)."""
        items = torch.stack([self._items(m) for m in range(max(len(self.modalities), 1))])
        if self.means is None:
            return ItemTables(items)
        centers = [mean @ items[m] for m, mean in enumerate(self.means)]
        return ItemTables(items, ItemInterests(torch.stack(centers), self.cluster))

    def ids(self) -> torch.Tensor:
        """Learned vectors of the items that somebody met, (M, I, d) or (1, I, d).

        That of any other would only ever be a negative, and would learn to be far from everybody:
        such an item goes by its content, and by the items that its content is like.
        """
        return self.item * self.met

    def _items(self, m: int) -> torch.Tensor:
        ids = self.ids()[m if len(self.item) > 1 else 0]
        items = ids if self.graphs is None else self.graphs[m] @ ids
        if self.projections:
            features, present = self.modalities[m]
            items = items + self.projections[m](features) * present
        return items

    def catalogue(self, tables: ItemTables) -> torch.Tensor:
        """Vectors of all items, whose inner product with a user's is the score."""
        items = self.parts(tables).transpose(0, 1).flatten(1)
        return items if self.item_bias is None else torch.cat([items, self._biases()], dim=1)

    def parts(self, tables: ItemTables) -> torch.Tensor:
        """What users are compared with, in every modality (M, I, d) or in all at once (1, I, d)."""
        items = tables.items
        if self.item_vectors != "modality":
            items = (self.ids() if self.item_vectors == "id" else items).mean(dim=0, keepdim=True)
        return self.encoder.comparable(items)

    def parts_with_bias(self, tables: ItemTables) -> torch.Tensor:
        """The same with the bias in every part, for the loss of each modality by itself."""
        parts = self.parts(tables)
        if self.item_bias is None:
            return parts
        return torch.cat([parts, self._biases().expand(len(parts), -1, -1)], dim=2)

    def _biases(self) -> torch.Tensor:
        assert self.item_bias is not None
        known = self.item_bias * self.met
        # What nobody met is taken to be as popular as the mean of the rest.
        return known + (1 - self.met) * known.sum() / self.met.sum()


@torch.no_grad()
def last_states(
    encoder: SequenceEncoder,
    tables: ItemTables,
    indptr: npt.NDArray[np.int64],
    items: npt.NDArray[np.int64],
    *,
    batch_size: int = 512,
) -> torch.Tensor:
    """Read whole sequences, each cut to its last items, and give the states at their ends.

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
    order = np.argsort(length, kind="stable")  # alike in length: little padding
    order = order[length[order] > 0]
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        padded, _ = pad(items, indptr[rows + 1] - length[rows], length[rows])
        ends = np.arange(len(rows)) * padded.shape[1] + length[rows] - 1
        found = encoder(
            tables,
            torch.as_tensor(padded, device=device),
            torch.as_tensor(ends, device=device),
        )
        states[torch.as_tensor(rows, device=device)] = found
    return states


@dataclass
class MDSRecObjective:
    """Cross-entropy of the next item at every position.

    Parameters
    ----------
    network : MDSRecNetwork
    score_temperature : float
        Divides the scores in the softmax.
    modality_weight : float
        Of the same loss for every modality by itself, beside that of all together.
    """

    network: MDSRecNetwork
    score_temperature: float
    modality_weight: float

    def __call__(self, batch: SequenceBatch) -> dict[str, torch.Tensor]:
        """Give the terms by name."""
        network, encoder = self.network, self.network.encoder
        tables = network.tables()
        states = encoder(tables, batch.items, batch.place)
        terms = {"ranking": self._rank(encoder.users(states), network.catalogue(tables), batch)}
        if self.modality_weight and states.shape[1] > 1:
            single = encoder.with_one(encoder.comparable(states)).unbind(dim=1)
            items = network.parts_with_bias(tables).expand(len(single), -1, -1)
            losses = [self._rank(*pair, batch) for pair in zip(single, items, strict=True)]
            terms["modality_ranking"] = self.modality_weight * torch.stack(losses).sum()
        return terms

    def _rank(self, users: torch.Tensor, items: torch.Tensor, batch: SequenceBatch) -> torch.Tensor:
        positive = gather(items, batch.target)
        negative = items if batch.negative is None else gather(items, batch.negative)
        return softmax_loss(users / self.score_temperature, positive, negative, own=batch.own)
