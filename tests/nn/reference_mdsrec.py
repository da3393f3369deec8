"""The equations of MDSRec (arXiv 2412.08103) in slow, plain NumPy, one sequence at a time.

All arrays are dense float64. The code follows the equations, not the package. `p` is a dict of the
parameters of a network. A sequence is a list of items without padding.
"""

from math import erf

import numpy as np

from tests.nn.reference import softmax, symmetric, unit

# Graphs


def behavior(R, max_length=None):
    """Number of users with both items, normalised by D^-1/2 C D^-1/2, scaled to a maximum of 1.

    A user counts as the geometric mean of the weights of the two interactions.
    """
    n_items = R.shape[1]
    users = [row for row in R if max_length is None or sum(row > 0) <= max_length]
    C = np.zeros((n_items, n_items))
    for i in range(n_items):
        for j in range(n_items):
            if i != j:
                C[i, j] = sum(np.sqrt(float(row[i]) * float(row[j])) for row in users)
    C = symmetric(C)
    return C / C.max() if C.any() else C


def semantics(F, present=None):
    """Cosines of the items that have the modality; zero for the others."""
    S = np.zeros((len(F), len(F)))
    for i in range(len(F)):
        for j in range(len(F)):
            if present is None or (present[i] and present[j]):
                S[i, j] = unit(F[i]) @ unit(F[j])
    return S


def affinity(R, F, relation, present=None, max_length=None):
    """MRGC: combine co-occurrence and similarity of items."""
    if relation == "behavior":
        return behavior(R, max_length)
    if relation == "semantic":
        return semantics(F, present)
    B, S = behavior(R, max_length), semantics(F, present)
    return {"sum": B + S, "product": B * S}[relation]


def nearest(A, n_neighbors):
    """Mask of the largest entries of each row that are positive and off the diagonal."""
    keep = np.zeros(A.shape, dtype=bool)
    for i in range(len(A)):
        others = [j for j in range(len(A)) if j != i and A[i, j] > 0]
        keep[i, sorted(others, key=lambda j: -A[i, j])[:n_neighbors]] = True
    return keep


def relation_graph(A, keep):
    """MRGC: the kept entries of an affinity plus self-loops, normalised."""
    return symmetric(np.where(keep, A, 0) + np.eye(len(A)))


def mix_with_identity(A, count, strength):
    """Weight each item's own vector by n / (n + strength) and its row of the graph by the rest."""
    out = np.zeros(A.shape)
    for i, n in enumerate(count):
        own_share = n / (n + strength)
        out[i] = (1 - own_share) * A[i]
        out[i, i] += own_share
    return out


# Items


def id_vectors(p, problem):
    """Learned id vectors by modality, (M, I, d); zero for cold items."""
    n_modalities = max(len(problem.features), 1)
    tables = [p["item"][0 if problem.shared_ids else m] for m in range(n_modalities)]
    return np.array([np.where(problem.has_interactions[:, None], table, 0) for table in tables])


def biases(p, problem):
    """Bias of every item; cold items have the mean of the others."""
    learned = p["item_bias"][:, 0]
    return np.where(problem.has_interactions, learned, learned[problem.has_interactions].mean())


def item_vectors(p, problem):
    """E_m of every modality, (M, I, d)."""
    learned = id_vectors(p, problem)
    if not problem.features:
        return learned
    tables = []
    for m, (F, present) in enumerate(zip(problem.features, problem.present, strict=True)):
        E = learned[m].copy() if problem.graphs is None else problem.graphs[m] @ learned[m]
        if problem.project_features:
            for i in np.flatnonzero(present):
                E[i] += _linear(p, f"projections.{m}", F[i])
        tables.append(E)
    return np.array(tables)


def center_features(E, cluster):
    """ICA: for each item the mean vector of its cluster; -1 means no cluster."""
    out = np.zeros(E.shape)
    for i, c in enumerate(cluster):
        if c >= 0:
            out[i] = np.mean([E[j] for j in range(len(E)) if cluster[j] == c], axis=0)
    return out


# Attention


def _linear(p, name, x):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def _layer_norm(p, name, x):
    out = [(row - row.mean()) / np.sqrt(row.var() + 1e-5) for row in x]
    return np.array(out) * p[f"{name}.weight"] + p[f"{name}.bias"]


def _gelu(x):
    return x * (1 + np.vectorize(erf)(x / np.sqrt(2))) / 2


def _split_heads(x, n_heads):
    return np.split(x, n_heads, axis=1)


def item_logits(p, name, x, n_heads):
    """Q K^T / sqrt(d / h) of each head."""
    query, key, _ = np.split(_linear(p, f"{name}.item", x), 3, axis=1)
    pairs = zip(_split_heads(query, n_heads), _split_heads(key, n_heads), strict=True)
    return [q @ k.T / np.sqrt(q.shape[1]) for q, k in pairs]


def interest_logits(p, name, c, n_heads):
    """Q' K'^T / sqrt(d / h) of each head, from the centers' features."""
    query, key = np.split(_linear(p, f"{name}.interest", c), 2, axis=1)
    pairs = zip(_split_heads(query, n_heads), _split_heads(key, n_heads), strict=True)
    return [q @ k.T / np.sqrt(q.shape[1]) for q, k in pairs]


def attention(p, name, x, c, n_heads):
    """Causal attention: position t attends to 0 to t. The values come from the items alone."""
    logits = item_logits(p, name, x, n_heads)
    if c is not None:
        pairs = zip(logits, interest_logits(p, name, c, n_heads), strict=True)
        logits = [by_item + by_interest for by_item, by_interest in pairs]
    value = _split_heads(np.split(_linear(p, f"{name}.item", x), 3, axis=1)[2], n_heads)
    rows = []
    for t in range(len(x)):
        past = slice(t + 1)
        row = [softmax(a[t, past]) @ v[past] for a, v in zip(logits, value, strict=True)]
        rows.append(np.concatenate(row))
    return _linear(p, f"{name}.out", np.array(rows))


def block(p, name, x, c, n_heads):
    """Post-norm: attention, then a feed-forward network."""
    x = _layer_norm(p, f"{name}.norms.0", x + attention(p, f"{name}.attention", x, c, n_heads))
    hidden = _gelu(_linear(p, f"{name}.feed_forward.0", x))
    return _layer_norm(p, f"{name}.norms.1", x + _linear(p, f"{name}.feed_forward.2", hidden))


def states(p, problem, sequence):
    """States of one sequence, (L, M, d)."""
    out = []
    for m, E in enumerate(item_vectors(p, problem)):
        x = np.array([E[i] + p["encoder.position"][m, t] for t, i in enumerate(sequence)])
        x, c = _layer_norm(p, f"encoder.norms.{m}", x), None
        if problem.clusters is not None:
            c = center_features(E, problem.clusters[m])[sequence]
            c = _layer_norm(p, f"encoder.interest_norms.{m}", c)
        for b in range(problem.n_blocks):
            x = block(p, f"encoder.blocks.{m}.{b}", x, c, problem.n_heads)
        if problem.recent_weight:
            x = [
                unit(row) + problem.recent_weight * recent_direction(E, sequence[: t + 1])
                for t, row in enumerate(x)
            ]
        out.append(x)
    return np.stack(out, axis=1)


def recent_direction(E, history):
    """Direction of the weighted sum of the items' directions: each counts .7 of the next one."""
    return unit(sum(0.7**age * unit(E[i]) for age, i in enumerate(history[::-1])))


# Fusion and scores


def fusion_weights(p, problem, state):
    """Weights of the modalities for one state (M, d), without the noise of training."""
    if problem.fusion == "mean":
        return np.full(len(state), 1 / len(state))
    gates = zip(p["encoder.gate"], p["encoder.gate_bias"], state, strict=True)
    return softmax(np.array([gate @ s + bias for gate, bias, s in gates]) / problem.tau)


def scores(p, problem, states, only_modality=None):
    """Scores of all items for each state (M, d), by all modalities or a single one of the user."""
    E, learned = item_vectors(p, problem), id_vectors(p, problem)
    out = np.zeros((len(states), E.shape[1]))
    scale = unit if problem.similarity == "cosine" else np.asarray
    for row, state in zip(out, states, strict=True):
        weights = fusion_weights(p, problem, state)
        if only_modality is not None:
            weights = np.arange(len(state)) == only_modality
        for i in range(len(row)):
            if problem.item_vectors == "modality":
                pairs = zip(weights, state, E[:, i], strict=True)
                row[i] = sum(w * scale(s) @ scale(e) for w, s, e in pairs)
            else:
                user = np.sum([w * s for w, s in zip(weights, state, strict=True)], axis=0)
                parts = learned[:, i] if problem.item_vectors == "id" else E[:, i]
                row[i] = scale(user) @ scale(np.mean(parts, axis=0))
    if problem.item_bias:
        out += biases(p, problem)
    return out


def next_item_loss(
    p, problem, sequences, temperature, negatives=None, only_modality=None, weights=None
):
    """Cross-entropy of each item but the first, among all items or the sampled negatives.

    `weights` has a weight for each item of each sequence; the mean is that of loss times weight.
    """
    losses = []
    weights = [[1] * len(s) for s in sequences] if weights is None else weights
    for sequence, weight in zip(sequences, weights, strict=True):
        logits = scores(p, problem, states(p, problem, sequence[:-1]), only_modality) / temperature
        for row, target, w in zip(logits, sequence[1:], weight[1:], strict=True):
            candidates = range(len(row)) if negatives is None else negatives
            others = [row[j] for j in candidates if j != target]
            losses.append(-w * np.log(softmax(np.array([row[target], *others]))[0]))
    return np.mean(losses)


def modality_loss(p, problem, sequences, temperature, negatives=None, weights=None):
    """Sum of the losses of each single modality; zero with fewer than two modalities."""
    if len(problem.features) < 2:
        return 0
    return sum(
        next_item_loss(p, problem, sequences, temperature, negatives, m, weights)
        for m in range(len(problem.features))
    )
