"""Attention, content and regularisation in MDSRec: models that are its defaults but for one form.

    python benchmarks/accuracy.py --dataset scientific --sequences --seeds 2 --threads 1 \
        --validation-only --model mdsrec,seq_cross_attention,seq_id_dropout --compare mdsrec

`models.py` has them under the names of `FORMS`. docs/benchmarks/mdsrec.md has their figures, and
`sequence_candidates.py` measures what content features of each candidate could add.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, ClassVar, cast
from unittest.mock import patch

import torch
from torch import nn
from torch.nn import functional

import recsk.nn.encoder
from recsk import MDSRecRecommender
from recsk.models.mdsrec import training
from recsk.nn.dropout import Dropout
from recsk.nn.encoder import (
    ItemTables,
    SequenceEncoder,
    _Attention,
    _Block,
    _recent_mean,
)
from recsk.nn.mdsrec import MDSRecNetwork, MDSRecObjective
from recsk.nn.propagation import gather
from recsk.nn.sequences import SequenceBatch
from recsk.nn.unit import unit_vectors

__all__ = ["FORMS"]


class Form(MDSRecRecommender):
    """A model whose fit has other classes in place of some of the library's."""

    encoder: ClassVar[type[SequenceEncoder]] = SequenceEncoder
    network: ClassVar[type[MDSRecNetwork]] = MDSRecNetwork
    objective: ClassVar[type[MDSRecObjective]] = MDSRecObjective

    def _build(self, prepared: Any) -> Any:
        with self._patched():
            return super()._build(prepared)

    def _train(self, built: Any) -> Any:
        with self._patched():
            return super()._train(built)

    def _encode(self, *args: Any) -> Any:
        with self._patched():
            return super()._encode(*args)

    def _patched(self) -> ExitStack:
        stack = ExitStack()
        for module, name, part in (
            (recsk.nn.encoder, "SequenceEncoder", self.encoder),  # where vectors are computed again
            (training, "SequenceEncoder", self.encoder),
            (training, "MDSRecNetwork", self.network),
            (training, "MDSRecObjective", self.objective),
        ):
            stack.enter_context(patch.object(module, name, part))
        return stack


# Attention across modalities


class StreamEncoder(SequenceEncoder):
    """The library's encoder, its steps as methods; block by block for all modalities."""

    with_positions = True

    def forward(
        self, tables: ItemTables, items: torch.Tensor, selected: torch.Tensor, share: None = None
    ) -> torch.Tensor:
        embedded = [functional.embedding(items, table) for table in tables.items]
        if (keep := self.kept_items(items)) is not None:
            embedded = [x * keep for x in embedded]
        position = self.position[:, : items.shape[1]] * float(self.with_positions)
        xs = [
            self.dropout(norm(x + p))
            for norm, x, p in zip(self.norms, embedded, position, strict=True)
        ]
        interests: list[Any] = [None] * len(xs)
        if tables.interests is not None:
            for m, (centers, cluster) in enumerate(zip(*tables.interests, strict=True)):
                interests[m] = self.dropout(self.interest_norms[m](centers)), cluster[items]
        xs = self.streams(xs, interests)
        states = []
        for x, own in zip(xs, embedded, strict=True):
            x = torch.add(
                unit_vectors(x), unit_vectors(_recent_mean(own)), alpha=self.recent_weight
            )
            flat = x.flatten(0, 1)
            states.append(flat if len(selected) == len(flat) else gather(flat, selected))
        return torch.stack(states, dim=1)

    def kept_items(self, items: torch.Tensor) -> torch.Tensor | None:
        """One for the items that are read, zero for blank ones; None reads all."""
        return None

    def streams(self, xs: list[torch.Tensor], interests: list[Any]) -> list[torch.Tensor]:
        """What the blocks make of the vectors of each modality."""
        for b in range(len(cast(nn.ModuleList, self.blocks[0]))):
            xs = self.exchange(b, xs)
            xs = [
                blocks[b](x, own, None)
                for blocks, x, own in zip(self.blocks, xs, interests, strict=True)
            ]
        return xs

    def exchange(self, b: int, xs: list[torch.Tensor]) -> list[torch.Tensor]:
        """What the modalities give each other before block b."""
        return xs


class Cross(nn.Module):
    """Causal attention with queries of one stream and keys and values of the others."""

    def __init__(self, n_factors: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(n_factors, n_factors)
        self.pair = nn.Linear(n_factors, 2 * n_factors)
        self.out = nn.Linear(n_factors, n_factors)
        self.norm = nn.LayerNorm(n_factors)
        self.dropout = Dropout(dropout)

    def forward(self, x: torch.Tensor, others: list[torch.Tensor]) -> torch.Tensor:
        query = self._heads(self.query(x))
        future = torch.full((x.shape[1],) * 2, -torch.inf, device=x.device).triu_(1)
        keys, values = zip(*(self.pair(other).chunk(2, dim=2) for other in others), strict=True)
        logits = torch.cat([query @ self._heads(key).mT + future for key in keys], dim=3)
        weights = self.dropout((logits * query.shape[3] ** -0.5).softmax(dim=3))
        found = weights @ torch.cat([self._heads(value) for value in values], dim=2)
        return self.norm(x + self.dropout(self.out(found.transpose(1, 2).flatten(2))))

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(2, (self.n_heads, -1)).transpose(1, 2)


class CrossEncoder(StreamEncoder):
    """A cross-attention block between the modalities before each block."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        d, heads, p = (settings[name] for name in ("n_factors", "n_heads", "dropout"))
        self.cross = nn.ModuleList(
            nn.ModuleList(Cross(d, heads, p) for _ in range(settings["n_blocks"]))
            for _ in range(settings["n_modalities"])
        )

    def exchange(self, b: int, xs: list[torch.Tensor]) -> list[torch.Tensor]:
        return [
            cast(nn.ModuleList, self.cross[m])[b](
                x, [other for n, other in enumerate(xs) if n != m]
            )
            for m, x in enumerate(xs)
        ]


class JointEncoder(StreamEncoder):
    """One transformer that reads the concatenation of all modalities."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        parts, d = settings["n_modalities"], settings["n_factors"]
        self.joint = nn.ModuleList(
            _Block(parts * d, parts * settings["n_heads"], settings["dropout"], False)
            for _ in range(settings["n_blocks"])
        )
        self.blocks = nn.ModuleList(nn.ModuleList() for _ in range(parts))

    def streams(self, xs: list[torch.Tensor], interests: list[Any]) -> list[torch.Tensor]:
        x = torch.cat(xs, dim=2)
        for block in self.joint:
            x = block(x, None, None)
        return list(x.chunk(len(xs), dim=2))


# Content of the candidates


class ContentEncoder(StreamEncoder):
    """Beside the streams, cosines of the candidate's features and those of the last items.

    The second half of the tables are features. The weights of their cosines are learned: by
    modality, by the last 1, 3 and 10 items, and by the logarithm of the length of the history.
    """

    spans = (1, 3, 10)

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.span = nn.Parameter(torch.empty(settings["n_modalities"], len(self.spans)))
        # A weight and its change with the length. Biases are zero at the start.
        self.length_bias = nn.Parameter(torch.empty(settings["n_modalities"], 2))

    def forward(
        self, tables: ItemTables, items: torch.Tensor, selected: torch.Tensor, share: None = None
    ) -> torch.Tensor:
        n = len(tables.items) // 2
        states = super().forward(tables._replace(items=tables.items[:n]), items, selected)
        content = []
        for m, table in enumerate(tables.items[n:]):
            recent = self.content(m, functional.embedding(items, table))
            content.append(recent.flatten(0, 1)[selected])
        return torch.cat([states, torch.stack(content, dim=1)], dim=1)

    def content(self, m: int, features: torch.Tensor) -> torch.Tensor:
        """The mean of the last items' features up to each position, by the learned weights."""
        length = torch.arange(1, features.shape[1] + 1, device=features.device)
        age = length[:, None] - length
        mixed = torch.zeros(())
        for share, span in zip(1 / len(self.spans) + self.span[m], self.spans, strict=True):
            inside = ((age >= 0) & (age < span)).to(features.dtype)
            mixed = mixed + share * inside / inside.sum(dim=1, keepdim=True)
        weight = self.length_bias[m, 0] + self.length_bias[m, 1] * length.log()
        return unit_vectors(mixed @ unit_vectors(features)) * weight[:, None]

    def fusion_weights(self, states: torch.Tensor, share: None = None) -> torch.Tensor:
        return super().fusion_weights(states[:, : states.shape[1] // 2])

    def user_vectors(self, states: torch.Tensor, share: None = None) -> torch.Tensor:
        own, content = states.chunk(2, dim=1)
        users = self.to_score_space(own) * self.fusion_weights(states)[:, :, None]
        return self.append_bias_input(torch.cat([users, content], dim=1).flatten(1))


class ContentNetwork(MDSRecNetwork):
    """The features' principal components, of the width of the vectors, are tables too."""

    def item_tables(self, needed: torch.Tensor | None = None) -> ItemTables:
        tables = super().item_tables(needed)
        if not hasattr(self, "_content"):
            width = tables.items.shape[2]
            self._content = torch.stack(
                [_components(*modality, width) for modality in self.modalities]
            )
        return tables._replace(items=torch.cat([tables.items, self._content]))


def _components(features: torch.Tensor, present: torch.Tensor, width: int) -> torch.Tensor:
    """The first principal components of unit rows."""
    rows = unit_vectors(features) * present
    _, _, axes = torch.linalg.svd(rows, full_matrices=False)
    found = rows @ axes[:width].T
    return functional.pad(found, (0, width - found.shape[1]))


# Regularisation


class MaskingEncoder(StreamEncoder):
    """A tenth of the items of a history are blank in training."""

    def kept_items(self, items: torch.Tensor) -> torch.Tensor | None:
        if not self.training:
            return None
        return (torch.rand(items.shape, device=items.device) > 0.1).float()[:, :, None]


class Smoothing(MDSRecObjective):
    """Label smoothing: a tenth of each label is spread over all items with interactions."""

    def _ranking_loss(
        self, users: torch.Tensor, items: torch.Tensor, batch: SequenceBatch
    ) -> torch.Tensor:
        loss = super()._ranking_loss(users, items, batch)
        moved = items[batch.target] - self.others(items, batch.target)
        return loss + 0.1 / self.score_temperature * (users * moved).sum(dim=1).mean()

    def others(self, items: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The mean vector of the items that get a part of the label."""
        known = self.network.has_interactions
        return (items * known).sum(dim=0) / known.sum()


class GraphSmoothing(Smoothing):
    """Label smoothing over the items that the relation graphs link to the target."""

    def others(self, items: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        graphs = cast(Any, self.network.graphs)
        if not hasattr(self, "_sums"):
            one = torch.ones(len(items), 1)
            self._sums = [(graph @ one).clamp_min(1e-9) for graph in graphs]
        means = [graph @ items / s for graph, s in zip(graphs, self._sums, strict=True)]
        return torch.stack(means).mean(dim=0)[target]


class FeatureDropout(MDSRecNetwork):
    """In training the projected features of a fifth of the items are zero, drawn for each step."""

    p_features, p_ids = 0.2, 0.0

    def _modality_vectors(
        self, m: int, learned: torch.Tensor, needed: torch.Tensor | None
    ) -> torch.Tensor:
        if not self.training:
            return super()._modality_vectors(m, learned, needed)
        present = self.modalities[m].present
        if self.p_features:
            keep = (torch.rand(present.shape) >= self.p_features).float()
            dropped = self.modalities[m]._replace(present=present * keep / (1 - self.p_features))
            with patch.dict(self.__dict__, modalities=[dropped] * len(self.modalities)):
                return super()._modality_vectors(m, learned, needed)
        keep = (torch.rand(len(learned), 1) >= self.p_ids).float()
        return super()._modality_vectors(m, learned * keep, needed)


class IdDropout(FeatureDropout):
    """In training the id vectors of a fifth of the items are zero."""

    p_features, p_ids = 0.0, 0.2


# Positions


class RelativeAttention(_Attention):
    """Attention with a learned bias for every distance, in place of positions."""

    def __init__(self, n_factors: int, n_heads: int, dropout: float, max_length: int) -> None:
        super().__init__(n_factors, n_heads, dropout, False)
        self.distance = nn.Parameter(torch.empty(n_heads, max_length))

    def forward(self, x: torch.Tensor, interest: Any, share: None) -> torch.Tensor:
        place = torch.arange(x.shape[1])
        age = place[:, None] - place
        bias = (30 * self.distance)[:, age.clamp(min=0)].masked_fill(age < 0, -torch.inf)
        query, key, value = (self._split_heads(part) for part in self.item(x).chunk(3, dim=2))
        logits = query @ key.mT * self.scale + bias
        attended = self.dropout(logits.softmax(dim=3)) @ value
        return self.out(attended.transpose(1, 2).flatten(2))


class RelativeEncoder(StreamEncoder):
    """Attention knows how far apart two items are, and not where they are in the history."""

    with_positions = False

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        names = ("n_factors", "n_heads", "dropout", "max_length")
        for blocks in self.blocks:
            for block in cast(nn.ModuleList, blocks):
                block.attention = RelativeAttention(*(settings[name] for name in names))


def _form(params: dict[str, Any] | None = None, **parts: Any) -> Any:
    """A class with these parts, its parameters, and all modalities."""
    name = "".join(part.__name__ for part in parts.values())
    return type(name, (Form,), {"__module__": __name__, **parts}), params or {}, None


FORMS: dict[str, tuple[type[MDSRecRecommender], dict[str, Any], list[int] | None]] = {
    "seq_cross_attention": _form(encoder=CrossEncoder),
    "seq_joint_transformer": _form({"n_interests": 0}, encoder=JointEncoder),
    "seq_content_cosines": _form(encoder=ContentEncoder, network=ContentNetwork),
    "seq_blank_items": _form(encoder=MaskingEncoder),
    "seq_label_smoothing": _form(objective=Smoothing),
    "seq_graph_smoothing": _form(objective=GraphSmoothing),
    "seq_feature_dropout": _form(network=FeatureDropout),
    "seq_id_dropout": _form(network=IdDropout),
    "seq_relative": _form({"n_interests": 0}, encoder=RelativeEncoder),
}
