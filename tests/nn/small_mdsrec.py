"""A small problem of MDSRec, for tests of the network and of its encoder."""

from dataclasses import astuple, dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch

from recsk.nn.encoder import SequenceEncoder
from recsk.nn.mdsrec import Interests, MDSRecNetwork
from recsk.nn.modality import Modality
from recsk.nn.propagation import SparseOperator
from recsk.nn.sequences import pad_sequences
from tests.nn import reference_mdsrec as reference

I, D, MAX_LENGTH = 9, 4, 6  # noqa: E741
RNG = np.random.default_rng(0)
R = RNG.random((7, I)) < 0.4
R[:, 5] = False  # a cold item
FEATURES = [RNG.normal(size=(I, width)) for width in (4, 2, 5)]
PRESENT = [np.arange(I) % 4 != m for m in range(3)]  # items 0, 4 and 8 lack modality 0, and so on
SEQUENCES = [[3, 1, 4, 1, 8], [2, 7], [0, 5, 6, 2, 3, 8, 1], [4, 4, 0]]


@dataclass
class Problem:
    """The settings that the reference and the network share."""

    n_modalities: int = 2
    relation: str | None = "sum"
    n_interests: int = 3
    fusion: str = "gumbel"
    item_vectors: str = "modality"
    similarity: str = "cosine"
    project_features: bool = True
    n_blocks: int = 2
    n_heads: int = 2
    tau: float = 0.7
    dropout: float = 0.0
    item_bias: bool = True
    shared_ids: bool = False
    modality_weight: float = 0.5
    recent_weight: float = 0.5

    has_interactions = R.any(axis=0)

    @property
    def features(self):
        return FEATURES[: self.n_modalities]

    @property
    def present(self):
        return PRESENT[: self.n_modalities]

    @cached_property
    def graphs(self):
        if self.relation is None or not self.features:
            return None
        graphs = []
        for F, present in zip(self.features, self.present, strict=True):
            A = reference.affinity(R, F, self.relation, present)
            graphs.append(reference.relation_graph(A, reference.nearest(A, 2)))
        return graphs

    @cached_property
    def clusters(self):
        """For each modality the cluster of each item, -1 if it lacks the modality."""
        if not self.n_interests or not self.features:
            return None
        return [
            np.where(present, (np.arange(I) + m) % self.n_interests, -1)
            for m, present in enumerate(self.present)
        ]

    def interests(self, cluster, device):
        no_cluster = self.n_interests
        member = cluster == np.arange(no_cluster + 1)[:, None]  # the last row is empty
        mean = member / np.maximum(member.sum(axis=1, keepdims=True), 1)
        return Interests(
            operator(mean, device),
            torch.as_tensor(np.where(cluster < 0, no_cluster, cluster), device=device),
        )

    def network(self, device="cpu", seed=0, initial=False):
        """A network on the reference's graphs, with random parameters unless `initial`."""
        generator = torch.Generator().manual_seed(seed)
        graphs, clusters = self.graphs, self.clusters
        network = MDSRecNetwork(
            SequenceEncoder(
                n_modalities=max(self.n_modalities, 1),
                n_factors=D,
                max_length=MAX_LENGTH,
                n_blocks=self.n_blocks,
                n_heads=self.n_heads,
                dropout=self.dropout,
                with_interests=clusters is not None,
                fusion=self.fusion,
                tau=self.tau,
                concatenate=self.item_vectors == "modality",
                similarity=self.similarity,
                item_bias=self.item_bias,
                recent_weight=self.recent_weight,
            ),
            [
                Modality(
                    torch.as_tensor(F, dtype=torch.float32, device=device),
                    torch.as_tensor(present[:, None], dtype=torch.float32, device=device),
                )
                for F, present in zip(self.features, self.present, strict=True)
            ],
            None if graphs is None else [operator(graph, device) for graph in graphs],
            None if clusters is None else [self.interests(c, device) for c in clusters],
            n_items=I,
            n_factors=D,
            shared_ids=self.shared_ids,
            project_features=self.project_features,
            item_vectors=self.item_vectors,
            has_interactions=torch.as_tensor(self.has_interactions[:, None], dtype=torch.float32),
            generator=generator,
        )
        if not initial:
            for parameter in network.parameters():
                parameter.data.normal_(0, 0.5, generator=generator)
        return network.to(device).eval()


def operator(matrix, device):
    return SparseOperator(sp.csr_array(np.asarray(matrix, np.float32)), torch.device(device))


def parameters_of(network):
    return {name: x.cpu().double().numpy() for name, x in network.state_dict().items()}


def pack(sequences):
    indptr = np.cumsum([0, *map(len, sequences)])
    return indptr, np.concatenate([np.asarray(s, np.int64) for s in sequences])


def pad(sequences, device="cpu"):
    """Items and positions of whole sequences, in one batch."""
    indptr, items = pack(sequences)
    padded = pad_sequences(items, indptr[:-1], np.diff(indptr))
    return (torch.as_tensor(x, device=device) for x in padded)


def states_of(network, sequences):
    return network.encoder(network.item_tables(), *pad(sequences, network.item.device))


def assert_same(actual, expected):
    np.testing.assert_allclose(actual.detach().cpu(), expected, rtol=1e-5, atol=1e-5)


def describe(problem):
    return "-".join(map(str, astuple(problem)))
