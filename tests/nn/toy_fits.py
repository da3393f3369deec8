"""Small trainings in float64, in one process or in some that share the batches."""

import numpy as np
import torch

from recsk.nn.mde_nodes import CachedGraph, WholeGraph
from recsk.nn.mde_objective import MDEObjective
from recsk.nn.mdsrec import MDSRecObjective
from recsk.nn.modality import Modality
from recsk.nn.sampling import InteractionSampler
from recsk.nn.sequences import SequenceSampler
from recsk.nn.training import train
from tests.nn import small_mdsrec, test_mde, test_mde_nodes

N_STEPS = 20

# Problem, propagation, negatives, size of a batch; small ones have fewer users than processes.
MDE = {
    "softmax of a cached graph": ({}, CachedGraph, {"n_shared": 4, "exclude_seen": True}, 6),
    "two users a batch": ({"id_embedding": "add"}, CachedGraph, {"n_shared": 4}, 3),
    "one user a batch": (
        {"id_embedding": "gate", "tradeoff": "independent"},
        CachedGraph,
        {"n_shared": 3, "exclude_seen": True},
        1,
    ),
    "bpr of a cached graph": ({"id_embedding": "add", "n_modalities": 3}, CachedGraph, {}, 6),
    "bpr of the whole graph": ({"id_embedding": "add", "tradeoff": "uniform"}, WholeGraph, {}, 5),
    "softmax of the whole graph": (
        {"id_embedding": "add", "preference": "fixed", "tradeoff": "independent"},
        WholeGraph,
        {"n_shared": 4, "exclude_seen": True},
        5,
    ),
    "shared negatives, seen or not": ({}, WholeGraph, {"n_shared": 4}, 5),
    "ids only": ({"n_modalities": 0, "user_neighbors": 0}, WholeGraph, {}, 5),
}
MDSREC = {
    "whole catalogue": {"fusion": "softmax"},
    "id vectors": {"n_modalities": 0, "item_vectors": "id", "fusion": "mean", "n_interests": 0},
    "sampled": {"n_negatives": 2, "fusion": "softmax"},
}
NAMES = [*MDE, *MDSREC]


def fit(name, processes=None):
    """Train for some steps, and return the loss terms of each, (n_steps, n_terms), and weights."""
    network, batches, terms = (mde if name in MDE else mdsrec)(name)
    losses = []

    def watched(batch):
        found = terms(batch)
        losses.append([term.item() for term in found.values()])
        return found

    options = {"max_epochs": -(-N_STEPS // len(batches)), "learning_rate": 0.02}
    if name in MDE:
        with network.divided_among(processes):
            train(network, batches, watched, processes=processes, **options)
        vectors = network.embeddings()
    else:
        train(network, batches, watched, processes=processes, **options)
        vectors = network.item_vectors(network.item_tables()), network.item.flatten(1)
    return np.array(losses), [x.detach().numpy().copy() for x in vectors]


def mde(name):
    changes, nodes, negatives, batch_size = MDE[name]
    problem = test_mde.Problem(similarity="cosine", **changes)
    network, graph = test_mde_nodes.made(problem)
    if nodes is CachedGraph:
        batches = test_mde_nodes.batches_of(graph, batch_size, **negatives)
        of_batch = CachedGraph(network, 2)
    else:
        pairs = (torch.as_tensor(ids) for ids in test_mde.R.nonzero())
        generator = torch.Generator().manual_seed(0)
        options = {"n_items": test_mde.I, "batch_size": batch_size, "generator": generator}
        batches = InteractionSampler(*pairs, **options, **negatives)
        of_batch = WholeGraph(network)
    ranking = "softmax" if negatives else "bpr"
    in_float64(network)
    graphs = network.graphs
    for graph in (graphs.interaction, graphs.user, *(graphs.items or ())):
        operator_in_float64(graph)
    return network, batches, MDEObjective(network, of_batch, ranking=ranking, **test_mde.WEIGHTS)


def mdsrec(name):
    changes = dict(MDSREC[name])
    n_negatives = changes.pop("n_negatives", None)
    problem = small_mdsrec.Problem(**changes)
    network = in_float64(problem.network(initial=True))
    for operator in (*(network.graphs or ()), *(network.cluster_means or ())):
        operator_in_float64(operator)
    indptr, items = small_mdsrec.pack(small_mdsrec.SEQUENCES)
    batches = SequenceSampler(
        indptr,
        items,
        n_items=small_mdsrec.I,
        max_length=small_mdsrec.MAX_LENGTH,
        batch_size=3,  # the last batch has one sequence
        rng=np.random.RandomState(0),
        device=torch.device("cpu"),
        weights=np.linspace(0.5, 2, len(items)).astype(np.float32),
        n_negatives=n_negatives,
    )
    objective = MDSRecObjective(network, 0.5, problem.modality_weight)
    return network, batches, lambda batch: objective(batch._replace(weight=batch.weight.double()))


def in_float64(network):
    network.modalities = [Modality(*(x.double() for x in part)) for part in network.modalities]
    return network.double()


def operator_in_float64(operator):
    if operator is not None:
        operator.forward_matrix = operator.forward_matrix.double()
        operator.adjoint_matrix = operator.adjoint_matrix.double()
