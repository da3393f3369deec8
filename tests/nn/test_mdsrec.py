from itertools import product

import numpy as np
import pytest
import torch

from recsk.nn.mdsrec import MDSRecObjective
from recsk.nn.sampling import find_positions
from recsk.nn.sequences import SequenceBatch, SequenceSampler
from recsk.nn.training import train
from tests.nn import reference_mdsrec as reference
from tests.nn.cuda import DEVICES, ForbidSynchronization, assert_close
from tests.nn.small_mdsrec import (
    MAX_LENGTH,
    SEQUENCES,
    I,
    Problem,
    assert_same,
    describe,
    pack,
    pad,
    parameters_of,
    states_of,
)

NEGATIVES = [1, 6, 0]  # some of them are targets
TEMPERATURE = 0.3


def terms_of(network, problem, negatives=None, weights=None):
    device = network.item.device
    items, position = pad([s[:-1] for s in SEQUENCES], device)
    target = torch.as_tensor(np.concatenate([s[1:] for s in SEQUENCES]), device=device)
    target_index = target
    if negatives is not None:
        negatives = torch.as_tensor(negatives, device=device)
        target_index = find_positions(target, negatives, I)
    if weights is not None:
        weights = torch.as_tensor(np.concatenate([w[1:] for w in weights]), device=device).float()
    batch = SequenceBatch(items, position, target, negatives, target_index, weights)
    terms = MDSRecObjective(network, TEMPERATURE, problem.modality_weight)(batch)
    several = problem.n_modalities > 1 and problem.modality_weight
    assert terms.keys() == {"ranking", *(["modality_ranking"] if several else [])}
    return terms


def variants():
    """Every combination of the main switches; the values of the other switches alternate."""
    alternating = {
        "relation": ["sum", "product", None, "semantic", "behavior", None, "sum"],
        "project_features": [True, True, False],
        "n_blocks": [1, 2, 1, 2, 1],
        "item_bias": [True, False, True],
        "shared_ids": [False, False, True, False],
        "modality_weight": [0.5, 0.5, 0.0],
        "recent_weight": [0.5, 0.0, 0.0, 2.0, 1.0],
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
        others = {name: values[i % len(values)] for name, values in alternating.items()}
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


@pytest.mark.parametrize("problem", list(variants()), ids=describe)
def test_every_equation(problem):
    network = problem.network()
    p = parameters_of(network)
    tables = network.item_tables()
    E = reference.item_vectors(p, problem)
    assert_same(tables.items, E)
    if problem.clusters is None:
        assert tables.interests is None
    else:
        centers = [c[z] for c, z in zip(*tables.interests, strict=True)]
        assert_same(torch.stack(centers), list(map(reference.center_features, E, problem.clusters)))

    sequences = [s[:-1] for s in SEQUENCES]
    expected = np.concatenate([reference.states(p, problem, s) for s in sequences])
    states = states_of(network, sequences)
    assert_same(states, expected)
    weights = [reference.fusion_weights(p, problem, state) for state in expected]
    assert_same(network.encoder.fusion_weights(states), weights)
    scores = network.encoder.user_vectors(states) @ network.item_vectors(tables).T
    assert_same(scores, reference.scores(p, problem, expected))
    for negatives in (None, NEGATIVES):
        arguments = p, problem, SEQUENCES, TEMPERATURE, negatives
        terms = terms_of(network, problem, negatives)
        assert_same(terms["ranking"], reference.next_item_loss(*arguments))
        if "modality_ranking" in terms:
            expected = problem.modality_weight * reference.modality_loss(*arguments)
            assert_same(terms["modality_ranking"], expected)


@pytest.mark.parametrize("negatives", [None, NEGATIVES], ids=["all", "sampled"])
@pytest.mark.parametrize("problem", [Problem(), Problem(3, similarity="dot")], ids=describe)
def test_every_target_counts_with_its_weight(problem, negatives):
    network = problem.network()
    weights = [np.random.default_rng(len(s)).lognormal(size=len(s)) for s in SEQUENCES]
    terms = terms_of(network, problem, negatives, weights)
    arguments = parameters_of(network), problem, SEQUENCES, TEMPERATURE, negatives
    assert_same(terms["ranking"], reference.next_item_loss(*arguments, weights=weights))
    expected = problem.modality_weight * reference.modality_loss(*arguments, weights=weights)
    assert_same(terms["modality_ranking"], expected)
    ones = terms_of(network, problem, negatives, [np.ones(len(s)) for s in SEQUENCES])
    plain = terms_of(network, problem, negatives)
    assert all(torch.equal(ones[name], plain[name]) for name in plain)


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
    """Compare with central differences of the reference, along a random direction of each."""
    network = problem.network()
    sum(terms_of(network, problem, NEGATIVES).values()).backward()
    p, rng, step = parameters_of(network), np.random.default_rng(0), 1e-5

    def loss(p):
        arguments = p, problem, SEQUENCES, TEMPERATURE, NEGATIVES
        modality_loss = reference.modality_loss(*arguments) if problem.modality_weight else 0
        return reference.next_item_loss(*arguments) + problem.modality_weight * modality_loss

    for name, parameter in network.named_parameters():
        direction = rng.normal(size=parameter.shape)
        ahead = loss(p | {name: p[name] + step * direction})
        behind = loss(p | {name: p[name] - step * direction})
        grad = parameter.grad
        along = 0 if grad is None else (grad.double().numpy() * direction).sum()
        assert along == pytest.approx((ahead - behind) / (2 * step), rel=1e-3, abs=1e-5), name


FEW = [[3, 1, 4, 1], [1, 6, 0, 3]]  # items 2, 5, 7 and 8 are not among them or the negatives


def few_items_batch(listed):
    """A batch of few items, and whether it lists them."""
    items, position = pad([s[:-1] for s in FEW], "cpu")
    target = torch.as_tensor(np.concatenate([s[1:] for s in FEW]))
    negative, needed = torch.tensor(NEGATIVES), None
    if listed:
        needed = torch.cat([items.ravel(), target, negative]).unique()
        items, target, negative = (find_positions(x, needed, I) for x in (items, target, negative))
    index = find_positions(target, negative, I)
    return SequenceBatch(items, position, target, negative, index, None, needed)


@pytest.mark.parametrize("problem", GRADIENTS, ids=describe)
def test_vectors_of_the_needed_items_are_as_good_as_those_of_all(problem):
    results = []
    for listed in (False, True):
        network = problem.network()
        batch = few_items_batch(listed)
        terms = MDSRecObjective(network, TEMPERATURE, problem.modality_weight)(batch)
        sum(terms.values()).backward()
        grads = {n: x.grad for n, x in network.named_parameters() if x.grad is not None}
        results.append({**terms, **grads})
    whole, few = results
    assert whole.keys() == few.keys()
    for name in whole:
        torch.testing.assert_close(few[name], whole[name], rtol=1e-4, atol=1e-6, msg=name)


def test_cold_items_among_the_needed_have_content_alone():
    network = Problem(item_vectors="id").network()
    needed = torch.tensor([1, 5])  # item 5 is cold
    whole, few = network.item_tables(), network.item_tables(needed)
    assert_same(few.items, whole.items[:, needed].detach())
    assert_same(network.item_vectors(few, needed), network.item_vectors(whole)[needed].detach())


@pytest.mark.parametrize("problem", GRADIENTS, ids=describe)
def test_every_used_parameter_has_a_gradient(problem):
    network = problem.network().train()
    sum(terms_of(network, problem).values()).backward()
    fixed_weights = problem.n_modalities < 2 or problem.fusion == "mean"
    for name, parameter in network.named_parameters():
        used = not (fixed_weights and "gate" in name)
        assert (parameter.grad is not None and bool(parameter.grad.any())) == used, name


def test_the_seed_decides_the_initial_weights():
    networks = (Problem().network(seed=seed, initial=True) for seed in (1, 1, 2))
    first, again, other = map(parameters_of, networks)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        fixed = "norm" in name or name.endswith("bias")
        assert (first[name] == other[name]).all() == fixed, name


def test_norms_start_as_ones_and_biases_as_zeros():
    for name, value in parameters_of(Problem().network(initial=True)).items():
        if name.endswith("bias"):
            assert not value.any(), name
        elif "norm" in name:
            assert (value == 1).all(), name
        else:
            assert 0 < np.abs(value).max() < 0.12, name


def test_features_of_a_missing_item_have_no_effect():
    network = Problem(n_interests=3).network()
    before = network.item_tables()
    for features, present in network.modalities:
        features[present[:, 0] == 0] = 1e6
    after = network.item_tables()
    assert torch.equal(after.items, before.items)
    assert torch.equal(after.interests.centers, before.interests.centers)


def fit(problem, n_negatives, device="cpu", wrap=lambda batches: batches, max_epochs=12):
    network = problem.network(device, initial=True)
    batches = SequenceSampler(
        *pack(SEQUENCES * 4),
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
        options = {"learning_rate": 0.02, "max_epochs": max_epochs}
        log = train(network, wrap(batches), objective, **options)
    return network, log


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n_negatives", [None, 5])
@pytest.mark.parametrize("problem", GRADIENTS, ids=describe)
def test_training_lowers_the_loss_and_is_reproducible(problem, n_negatives, device):
    network, log = fit(problem, n_negatives, device)
    ranking = log.loss_curve["ranking"]
    assert np.mean(ranking[-3:]) < 0.9 * np.mean(ranking[:3])
    again, _ = fit(problem, n_negatives, device)
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@pytest.mark.gpu
@pytest.mark.parametrize("negatives", [None, NEGATIVES], ids=["all", "sampled"])
@pytest.mark.parametrize("problem", GRADIENTS, ids=describe)
def test_cuda_matches_the_cpu(problem, negatives):
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
    _, log = fit(problem, n_negatives, "cuda", ForbidSynchronization, max_epochs=3)
    assert log.n_iter == 3
