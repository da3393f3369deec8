from dataclasses import astuple, dataclass
from functools import cached_property
from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recsk.nn.mdsrec import (
    Interests,
    MDSRecNetwork,
    MDSRecObjective,
    SequenceEncoder,
    _Dropout,
    last_states,
)
from recsk.nn.modality import Modality
from recsk.nn.propagation import SparseOperator
from recsk.nn.sampling import place_of
from recsk.nn.sequences import SequenceBatch, SequenceSampler, pad
from recsk.nn.training import train
from tests.nn import reference_mdsrec as reference
from tests.nn.cuda import DEVICES, Watched, assert_close

I, D, MAX_LENGTH = 9, 4, 6  # noqa: E741
RNG = np.random.default_rng(0)
R = RNG.random((7, I)) < 0.4
R[:, 5] = False  # an item that nobody met
FEATURES = [RNG.normal(size=(I, width)) for width in (4, 2, 5)]
PRESENT = [np.arange(I) % 4 != m for m in range(3)]  # items 0, 4 and 8 lack the first, and so on
SEQUENCES = [[3, 1, 4, 1, 8], [2, 7], [0, 5, 6, 2, 3, 8, 1], [4, 4, 0]]
NEGATIVES = [1, 6, 0]  # some of them are targets
TEMPERATURE = 0.3


@dataclass
class Problem:
    """Everything that the reference and the network both have to know."""

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

    met = R.any(axis=0)

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
        """For each modality the cluster of each item, -1 where it lacks the modality."""
        if not self.n_interests or not self.features:
            return None
        return [
            np.where(present, (np.arange(I) + m) % self.n_interests, -1)
            for m, present in enumerate(self.present)
        ]

    def interests(self, cluster, device):
        none = self.n_interests
        member = cluster == np.arange(none + 1)[:, None]  # nobody in the last row
        mean = member / np.maximum(member.sum(axis=1, keepdims=True), 1)
        return Interests(
            operator(mean, device),
            torch.as_tensor(np.where(cluster < 0, none, cluster), device=device),
        )

    def network(self, device="cpu", seed=0, initial=False):
        """The network on the reference's graphs, every parameter random unless `initial`."""
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
            met=torch.as_tensor(self.met[:, None], dtype=torch.float32),
            generator=generator,
        )
        if not initial:
            for parameter in network.parameters():
                parameter.data.normal_(0, 0.5, generator=generator)
        return network.to(device).eval()


def operator(matrix, device):
    return SparseOperator(sp.csr_array(np.asarray(matrix, np.float32)), torch.device(device))


def numbers(network):
    return {name: x.cpu().double().numpy() for name, x in network.state_dict().items()}


def packed(sequences):
    indptr = np.cumsum([0, *map(len, sequences)])
    return indptr, np.concatenate([np.asarray(s, np.int64) for s in sequences])


def padded(sequences, device="cpu"):
    """Items and places of whole sequences, in one batch."""
    indptr, items = packed(sequences)
    return (torch.as_tensor(x, device=device) for x in pad(items, indptr[:-1], np.diff(indptr)))


def states_of(network, sequences):
    return network.encoder(network.tables(), *padded(sequences, network.item.device))


def terms_of(network, problem, negatives=None):
    device = network.item.device
    items, place = padded([s[:-1] for s in SEQUENCES], device)
    target = torch.as_tensor(np.concatenate([s[1:] for s in SEQUENCES]), device=device)
    own = target
    if negatives is not None:
        negatives = torch.as_tensor(negatives, device=device)
        own = place_of(target, negatives, I)
    batch = SequenceBatch(items, place, target, negatives, own)
    terms = MDSRecObjective(network, TEMPERATURE, problem.modality_weight)(batch)
    several = problem.n_modalities > 1 and problem.modality_weight
    assert terms.keys() == {"ranking", *(["modality_ranking"] if several else [])}
    return terms


def same(actual, expected):
    np.testing.assert_allclose(actual.detach().cpu(), expected, rtol=1e-5, atol=1e-5)


def variants():
    """Every combination of the main switches; the others take turns."""
    turns = {
        "relation": ["sum", "product", None, "semantic", "behavior", None, "sum"],
        "project_features": [True, True, False],
        "n_blocks": [1, 2, 1, 2, 1],
        "item_bias": [True, False, True],
        "shared_ids": [False, False, True, False],
        "modality_weight": [0.5, 0.5, 0.0],
        "n_heads": [2, 1, 2, 4, 1, 2, 2, 1, 4, 2, 2],
    }
    for i, (m, n_interests, fusion, item_vectors, similarity) in enumerate(
        product(
            [1, 2, 3],
            [0, 3],
            ["gumbel", "softmax", "mean"],
            ["modality", "mean", "id"],
            ["cosine", "dot"],
        )
    ):
        others = {name: values[i % len(values)] for name, values in turns.items()}
        yield Problem(
            m,
            n_interests=n_interests,
            fusion=fusion,
            item_vectors=item_vectors,
            similarity=similarity,
            **others,
        )
    yield Problem(0)
    yield Problem(0, item_vectors="id", similarity="dot", n_blocks=1)


def describe(problem):
    return "-".join(map(str, astuple(problem)))


# ------------------------------------------------------------------------------------ the equations


@pytest.mark.parametrize("problem", list(variants()), ids=describe)
def test_every_equation(problem):
    network = problem.network()
    p = numbers(network)
    tables = network.tables()
    E = reference.item_vectors(p, problem)
    same(tables.items, E)
    if problem.clusters is None:
        assert tables.interests is None
    else:
        found = [c[z] for c, z in zip(*tables.interests, strict=True)]
        same(torch.stack(found), list(map(reference.center_features, E, problem.clusters)))

    sequences = [s[:-1] for s in SEQUENCES]
    expected = np.concatenate([reference.states(p, problem, s) for s in sequences])
    states = states_of(network, sequences)
    same(states, expected)
    weights = [reference.fusion_weights(p, problem, state) for state in expected]
    same(network.encoder.weights(states), weights)
    scores = network.encoder.users(states) @ network.catalogue(tables).T
    same(scores, reference.scores(p, problem, expected))
    for negatives in (None, NEGATIVES):
        asked = p, problem, SEQUENCES, TEMPERATURE, negatives
        terms = terms_of(network, problem, negatives)
        same(terms["ranking"], reference.next_item_loss(*asked))
        if "modality_ranking" in terms:
            found = terms["modality_ranking"]
            same(found, problem.modality_weight * reference.modality_loss(*asked))


GRADIENTS = [
    Problem(),
    Problem(1, item_vectors="id", n_blocks=1),
    Problem(2, "product", fusion="softmax", item_vectors="mean", similarity="dot", n_blocks=1),
    Problem(2, None, n_interests=0, fusion="mean", n_blocks=1),
    Problem(3, "behavior", project_features=False, item_vectors="id", n_blocks=1),
    Problem(0, item_bias=False),
    Problem(2, "semantic", item_vectors="mean", shared_ids=True, n_blocks=1),
    Problem(2, fusion="softmax", similarity="dot", modality_weight=0.0, n_blocks=1),
]


@pytest.mark.parametrize("problem", GRADIENTS, ids=describe)
def test_gradient_of_every_parameter(problem):
    """Along a random direction of each, against central differences of the reference."""
    network = problem.network()
    sum(terms_of(network, problem, NEGATIVES).values()).backward()
    p, rng, step = numbers(network), np.random.default_rng(0), 1e-5

    def loss(p):
        asked = p, problem, SEQUENCES, TEMPERATURE, NEGATIVES
        more = reference.modality_loss(*asked) if problem.modality_weight else 0
        return reference.next_item_loss(*asked) + problem.modality_weight * more

    for name, parameter in network.named_parameters():
        direction = rng.normal(size=parameter.shape)
        ahead = loss(p | {name: p[name] + step * direction})
        behind = loss(p | {name: p[name] - step * direction})
        grad = parameter.grad
        along = 0 if grad is None else (grad.double().numpy() * direction).sum()
        assert along == pytest.approx((ahead - behind) / (2 * step), rel=1e-3, abs=1e-5), name


@pytest.mark.parametrize("problem", GRADIENTS, ids=describe)
def test_every_parameter_that_is_in_use_learns(problem):
    network = problem.network().train()
    sum(terms_of(network, problem).values()).backward()
    one = problem.n_modalities < 2 or problem.fusion == "mean"
    for name, parameter in network.named_parameters():
        used = not (one and "gate" in name)
        assert (parameter.grad is not None and bool(parameter.grad.any())) == used, name


# ----------------------------------------------------------------------- what reading may depend on

READING = [Problem(), Problem(3, None, n_interests=0), Problem(0), Problem(1, "product")]


@pytest.mark.parametrize("problem", READING, ids=describe)
def test_what_comes_later_changes_nothing_before(problem):
    network = problem.network()
    before = states_of(network, [[3, 1, 4, 1, 8, 2]])
    for t in range(6):
        sequence = [3, 1, 4, 1, 8, 2]
        sequence[t] = 7
        after = states_of(network, [sequence])
        assert torch.equal(after[:t], before[:t])
        assert (after[t:] != before[t:]).flatten(1).any(dim=1).all()  # and all that follows


@pytest.mark.parametrize("problem", READING, ids=describe)
def test_a_sequence_does_not_know_its_batch(problem):
    network = problem.network()
    sequences = [s[:MAX_LENGTH] for s in SEQUENCES]
    together = states_of(network, sequences)
    same(together, torch.cat([states_of(network, [s]) for s in sequences]).detach())

    items, place = padded(sequences)
    padding = torch.ones(items.numel(), dtype=bool)
    padding[place] = False
    assert padding.any()
    items.view(-1)[padding] = 7  # whatever the padding is
    assert torch.equal(network.encoder(network.tables(), items, place), together)


@pytest.mark.parametrize("problem", READING, ids=describe)
@pytest.mark.parametrize("batch_size", [1, 2, 512])
def test_last_states(problem, batch_size):
    network = problem.network()
    sequences = [*SEQUENCES, [], [6], [], list(range(9)) * 3]
    states = last_states(
        network.encoder, network.tables(), *packed(sequences), batch_size=batch_size
    )
    assert not states.requires_grad
    for state, sequence in zip(states, sequences, strict=True):
        if sequence:
            same(state, states_of(network, [sequence[-MAX_LENGTH:]])[-1].detach())
        else:
            assert not state.any()


@pytest.mark.parametrize("sequences", [[], [[]], [[], []]])
def test_last_states_of_nothing(sequences):
    network = Problem().network()
    indptr = np.zeros(len(sequences) + 1, np.int64)
    empty = np.empty(0, np.int64)
    states = last_states(network.encoder, network.tables(), indptr, empty)
    assert states.shape == (len(sequences), 2, D) and not states.any()


def test_the_order_of_items_matters():
    network = Problem().network()
    first, second = (states_of(network, [s])[-1] for s in ([1, 2, 3], [2, 1, 3]))
    assert not torch.allclose(first, second, atol=1e-3)


# ------------------------------------------------------------------------------- noise in training


def test_gumbel_weights_are_noisy_in_training_only():
    encoder = Problem(3).network().encoder
    states = torch.randn(50, 3, D, generator=torch.Generator().manual_seed(0))
    quiet = encoder.weights(states)
    assert torch.equal(encoder.weights(states), quiet)
    encoder.train()
    noisy = [encoder.weights(states) for _ in range(2)]
    assert not torch.allclose(*noisy, atol=0.01) and not torch.allclose(noisy[0], quiet, atol=0.01)
    for weights in (quiet, *noisy):
        assert (weights >= 0).all()
        same(weights.sum(dim=1), np.ones(50))


@pytest.mark.parametrize("fusion", ["softmax", "mean"])
def test_other_fusions_have_no_noise(fusion):
    encoder = Problem(3, fusion=fusion).network().encoder
    states = torch.randn(50, 3, D, generator=torch.Generator().manual_seed(0))
    quiet = encoder.weights(states)
    assert torch.equal(encoder.train().weights(states), quiet)


@pytest.mark.parametrize("tau", [0.1, 1.0, 5.0])
def test_gumbel_draws_modalities_as_often_as_softmax_says(tau):
    """Whatever tau is; it only decides how far the largest stands out."""
    encoder = Problem(3, tau=tau).network().encoder.train()
    state = torch.randn(3, D, generator=torch.Generator().manual_seed(1))
    logits = (state * encoder.gate).sum(dim=1) + encoder.gate_bias
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        drawn = encoder.weights(state.expand(20_000, 3, D))
    share = torch.bincount(drawn.argmax(dim=1), minlength=3) / len(drawn)
    np.testing.assert_allclose(share, logits.softmax(dim=0).detach(), atol=0.015)


def test_a_low_tau_takes_one_modality_and_a_high_one_all():
    states = torch.randn(50, 3, D, generator=torch.Generator().manual_seed(0))
    sharp, even = (Problem(3, tau=tau).network().encoder.weights(states) for tau in (1e-3, 1e3))
    same(sharp.max(dim=1).values.median(), 1)
    np.testing.assert_allclose(even.detach(), 1 / 3, atol=0.01)


def test_dropout_in_training_only():
    network = Problem(dropout=0.5).network()
    quiet = states_of(network, SEQUENCES[:2])
    assert torch.equal(states_of(network, SEQUENCES[:2]), quiet)
    without = Problem().network()
    assert torch.equal(states_of(without, SEQUENCES[:2]), quiet)
    assert torch.equal(states_of(without.train(), SEQUENCES[:2]), quiet)
    network.train()
    assert not torch.allclose(states_of(network, SEQUENCES[:2]), quiet, atol=1e-3)


# --------------------------------------------------------------------------------------- the start


def test_the_seed_decides_the_initial_weights():
    first, again, other = (numbers(Problem().network(seed=s, initial=True)) for s in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        fixed = "norm" in name or name.endswith("bias")
        assert (first[name] == other[name]).all() == fixed, name


def test_norms_start_as_ones_and_biases_as_zeros():
    for name, value in numbers(Problem().network(initial=True)).items():
        if name.endswith("bias"):
            assert not value.any(), name
        elif "norm" in name:
            assert (value == 1).all(), name
        else:
            assert 0 < np.abs(value).max() < 0.12, name


def test_what_is_said_of_a_missing_item_is_never_looked_at():
    network = Problem(n_interests=3).network()
    before = network.tables()
    for features, present in network.modalities:
        features[present[:, 0] == 0] = 1e6
    after = network.tables()
    assert torch.equal(after.items, before.items)
    assert torch.equal(after.interests.centers, before.interests.centers)


@pytest.mark.parametrize("device", DEVICES)
def test_dropout_keeps_the_mean_and_drops_its_share(device):
    x = torch.ones(1000, 200, device=device, requires_grad=True)
    dropped = _Dropout(0.3).train()(x)
    values = torch.unique(dropped.detach().cpu())
    torch.testing.assert_close(values, torch.tensor([0.0, 1 / 0.7]))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    dropped.sum().backward()
    assert torch.equal(x.grad, dropped)  # what was dropped learns nothing
    assert torch.equal(_Dropout(0.0).train()(x), x)
    assert torch.equal(_Dropout(0.3).eval()(x), x)


# ------------------------------------------------------------------------------- training, and CUDA


def trained(problem, n_negatives, device="cpu", watch=lambda batches: batches, max_epochs=12):
    network = problem.network(device, initial=True)
    batches = SequenceSampler(
        *packed(SEQUENCES * 4),
        n_items=I,
        max_length=MAX_LENGTH,
        batch_size=4,
        rng=np.random.RandomState(0),
        device=torch.device(device),
        n_negatives=n_negatives,
    )
    objective = MDSRecObjective(network, TEMPERATURE, problem.modality_weight)
    with torch.random.fork_rng(devices=[] if device == "cpu" else [device]):
        torch.manual_seed(0)
        log = train(network, watch(batches), objective, learning_rate=0.02, max_epochs=max_epochs)
    return network, log


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n_negatives", [None, 5])
@pytest.mark.parametrize("problem", GRADIENTS, ids=describe)
def test_training_lowers_the_loss_and_can_be_repeated(problem, n_negatives, device):
    network, log = trained(problem, n_negatives, device)
    ranking = log.loss_curve["ranking"]
    assert np.mean(ranking[-3:]) < 0.9 * np.mean(ranking[:3])
    again, _ = trained(problem, n_negatives, device)
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@pytest.mark.gpu
@pytest.mark.parametrize("negatives", [None, NEGATIVES], ids=["all", "sampled"])
@pytest.mark.parametrize("problem", GRADIENTS, ids=describe)
def test_cuda_gives_what_the_cpu_gives(problem, negatives):
    results = []
    for device in ("cpu", "cuda"):
        network = problem.network(device)
        loss = sum(terms_of(network, problem, negatives).values())
        loss.backward()
        grads = {n: x.grad for n, x in network.named_parameters() if x.grad is not None}
        results.append({"loss": loss, **grads})
    assert_close(*results)


@pytest.mark.gpu
@pytest.mark.parametrize("n_negatives", [None, 5])
@pytest.mark.parametrize("problem", GRADIENTS, ids=describe)
def test_an_epoch_never_waits_for_the_device(problem, n_negatives):
    _, log = trained(problem, n_negatives, "cuda", Watched, max_epochs=3)
    assert log.n_iter == 3
