import numpy as np
import pytest
import torch

from recsk.nn.dropout import Dropout
from recsk.nn.encoder import encode_sequences
from tests.nn.cuda import DEVICES
from tests.nn.small_mdsrec import (
    MAX_LENGTH,
    SEQUENCES,
    D,
    Problem,
    assert_same,
    describe,
    pack,
    pad,
    states_of,
)

ENCODED = [Problem(), Problem(3, None, n_interests=0), Problem(0), Problem(1, "product")]


@pytest.mark.parametrize("problem", ENCODED, ids=describe)
def test_a_state_depends_on_earlier_items_alone(problem):
    network = problem.network()
    before = states_of(network, [[3, 1, 4, 1, 8, 2]])
    for t in range(6):
        sequence = [3, 1, 4, 1, 8, 2]
        sequence[t] = 7
        after = states_of(network, [sequence])
        assert torch.equal(after[:t], before[:t])
        assert (after[t:] != before[t:]).flatten(1).any(dim=1).all()  # all later states change


@pytest.mark.parametrize("problem", ENCODED, ids=describe)
def test_states_depend_neither_on_the_batch_nor_on_the_padding(problem):
    network = problem.network()
    sequences = [s[:MAX_LENGTH] for s in SEQUENCES]
    together = states_of(network, sequences)
    assert_same(together, torch.cat([states_of(network, [s]) for s in sequences]).detach())

    items, position = pad(sequences)
    padding = torch.ones(items.numel(), dtype=bool)
    padding[position] = False
    assert padding.any()
    items.view(-1)[padding] = 7  # another padding
    assert torch.equal(network.encoder(network.item_tables(), items, position), together)


@pytest.mark.parametrize("problem", ENCODED, ids=describe)
@pytest.mark.parametrize("batch_size", [1, 2, 512])
def test_encode_sequences_returns_the_last_states(problem, batch_size):
    network = problem.network()
    sequences = [*SEQUENCES, [], [6], [], list(range(9)) * 3]
    states = encode_sequences(
        network.encoder, network.item_tables(), *pack(sequences), batch_size=batch_size
    )
    assert not states.requires_grad
    for state, sequence in zip(states, sequences, strict=True):
        if sequence:
            assert_same(state, states_of(network, [sequence[-MAX_LENGTH:]])[-1].detach())
        else:
            assert not state.any()


@pytest.mark.parametrize("sequences", [[], [[]], [[], []]])
def test_encode_sequences_of_empty_histories(sequences):
    network = Problem().network()
    indptr = np.zeros(len(sequences) + 1, np.int64)
    empty = np.empty(0, np.int64)
    states = encode_sequences(network.encoder, network.item_tables(), indptr, empty)
    assert states.shape == (len(sequences), 2, D) and not states.any()


@pytest.mark.parametrize("n_interests", [0, 3])
@pytest.mark.parametrize("n_heads", [1, 2, 4])
def test_attention_is_the_same_on_every_device(n_heads, n_interests):
    """By heads on the CPU; elsewhere, and here too, by one call of PyTorch's attention."""
    network = Problem(n_heads=n_heads, n_interests=n_interests).network()
    attention = network.encoder.blocks[0][0].attention
    generator = torch.Generator().manual_seed(0)
    of_items = torch.randn(5, 6, 3 * D, generator=generator)
    interest = None, None
    if n_interests:
        centers = torch.randn(n_interests + 1, 2 * D, generator=generator)
        interest = centers, torch.randint(n_interests + 1, (5, 6), generator=generator)
    by_head = attention._attend_by_head(of_items, *interest, None)
    assert_same(by_head, attention._attend_fused(of_items, *interest))


def test_the_order_of_items_matters():
    network = Problem().network()
    first, second = (states_of(network, [s])[-1] for s in ([1, 2, 3], [2, 1, 3]))
    assert not torch.allclose(first, second, atol=1e-3)


def test_gumbel_weights_are_noisy_in_training_only():
    encoder = Problem(3).network().encoder
    states = torch.randn(50, 3, D, generator=torch.Generator().manual_seed(0))
    noiseless = encoder.fusion_weights(states)
    assert torch.equal(encoder.fusion_weights(states), noiseless)
    encoder.train()
    noisy = [encoder.fusion_weights(states) for _ in range(2)]
    for first, second in (noisy, (noisy[0], noiseless)):
        assert not torch.allclose(first, second, atol=0.01)
    for weights in (noiseless, *noisy):
        assert (weights >= 0).all()
        assert_same(weights.sum(dim=1), np.ones(50))


@pytest.mark.parametrize("fusion", ["softmax", "mean"])
def test_other_fusions_have_no_noise(fusion):
    encoder = Problem(3, fusion=fusion).network().encoder
    states = torch.randn(50, 3, D, generator=torch.Generator().manual_seed(0))
    noiseless = encoder.fusion_weights(states)
    assert torch.equal(encoder.train().fusion_weights(states), noiseless)


@pytest.mark.parametrize("tau", [0.1, 1.0, 5.0])
def test_gumbel_draws_modalities_with_the_probabilities_of_softmax(tau):
    """For every tau, which only decides how close the weights are to one and zero."""
    encoder = Problem(3, tau=tau).network().encoder.train()
    state = torch.randn(3, D, generator=torch.Generator().manual_seed(1))
    logits = (state * encoder.gate).sum(dim=1) + encoder.gate_bias
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        drawn = encoder.fusion_weights(state.expand(20_000, 3, D))
    frequency = torch.bincount(drawn.argmax(dim=1), minlength=3) / len(drawn)
    np.testing.assert_allclose(frequency, logits.softmax(dim=0).detach(), atol=0.015)


def test_a_low_tau_selects_one_modality_and_a_high_tau_averages_all():
    states = torch.randn(50, 3, D, generator=torch.Generator().manual_seed(0))
    encoders = (Problem(3, tau=tau).network().encoder for tau in (1e-3, 1e3))
    sharp, even = (encoder.fusion_weights(states) for encoder in encoders)
    assert_same(sharp.max(dim=1).values.median(), 1)
    np.testing.assert_allclose(even.detach(), 1 / 3, atol=0.01)


def test_dropout_in_training_only():
    network = Problem(dropout=0.5).network()
    noiseless = states_of(network, SEQUENCES[:2])
    assert torch.equal(states_of(network, SEQUENCES[:2]), noiseless)
    without = Problem().network()
    assert torch.equal(states_of(without, SEQUENCES[:2]), noiseless)
    assert torch.equal(states_of(without.train(), SEQUENCES[:2]), noiseless)
    network.train()
    assert not torch.allclose(states_of(network, SEQUENCES[:2]), noiseless, atol=1e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_dropout_drops_its_share_and_keeps_the_mean(device):
    x = torch.ones(1000, 200, device=device, requires_grad=True)
    dropped = Dropout(0.3).train()(x)
    values = torch.unique(dropped.detach().cpu())
    torch.testing.assert_close(values, torch.tensor([0.0, 1 / 0.7]))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    dropped.sum().backward()
    assert torch.equal(x.grad, dropped)  # dropped values have no gradient
    assert torch.equal(Dropout(0.0).train()(x), x)
    assert torch.equal(Dropout(0.3).eval()(x), x)
