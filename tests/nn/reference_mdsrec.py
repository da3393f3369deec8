"""The equations of MDSRec (arXiv 2412.08103) in slow, obvious NumPy, one sequence at a time.

Dense float64 arrays throughout; written from the equations, not from the package. `p` is a dict
of the parameters of a network. A sequence is a list of items without any padding.
"""

from math import erf

import numpy as np

from tests.nn.reference import _softmax, symmetric, unit

# ------------------------------------------------------------------------------------------- graphs


def behavior(R, max_length=None):
    """How often two items were met by one person, D^-1/2 C D^-1/2, the largest being one."""
    n_items = R.shape[1]
    people = [row for row in R if max_length is None or sum(row > 0) <= max_length]
    C = np.zeros((n_items, n_items))
    for i in range(n_items):
        for j in range(n_items):
            if i != j:
                C[i, j] = sum(row[i] > 0 and row[j] > 0 for row in people)
    C = symmetric(C)
    return C / C.max() if C.any() else C


def semantics(F, present=None):
    """Cosines of the items that have the modality; the others are like nothing."""
    S = np.zeros((len(F), len(F)))
    for i in range(len(F)):
        for j in range(len(F)):
            if present is None or (present[i] and present[j]):
                S[i, j] = unit(F[i]) @ unit(F[j])
    return S


def affinity(R, F, relation, present=None, max_length=None):
    if relation == "behavior":
        return behavior(R, max_length)
    if relation == "semantic":
        return semantics(F, present)
    B, S = behavior(R, max_length), semantics(F, present)
    return {"sum": B + S, "product": B * S}[relation]


def nearest(A, n_neighbors):
    """The largest entries of each row, if positive and not on the diagonal, as a mask."""
    keep = np.zeros(A.shape, dtype=bool)
    for i in range(len(A)):
        others = [j for j in range(len(A)) if j != i and A[i, j] > 0]
        keep[i, sorted(others, key=lambda j: -A[i, j])[:n_neighbors]] = True
    return keep


def relation_graph(A, keep):
    """MRGC: what is kept of an affinity, and every item with itself."""
    return symmetric(np.where(keep, A, 0) + np.eye(len(A)))


def keep_own(A, count, strength):
    """Item by item, between its own vector and what the graph makes of it."""
    out = np.zeros(A.shape)
    for i, n in enumerate(count):
        share = n / (n + strength)
        out[i] = (1 - share) * A[i]
        out[i, i] += share
    return out


# -------------------------------------------------------------------------------------------- items


def ids(p, problem):
    """Learned vectors by modality, (M, I, d); items that nobody met have none."""
    n_modalities = max(len(problem.features), 1)
    tables = [p["item"][0 if problem.shared_ids else m] for m in range(n_modalities)]
    return np.array([np.where(problem.met[:, None], table, 0) for table in tables])


def biases(p, problem):
    """Of every item; those that nobody met have the mean of the others."""
    known = p["item_bias"][problem.met, 0]
    return [p["item_bias"][i, 0] if met else known.mean() for i, met in enumerate(problem.met)]


def item_vectors(p, problem):
    """E_m of every modality, (M, I, d)."""
    own = ids(p, problem)
    if not problem.features:
        return own
    tables = []
    for m, (F, present) in enumerate(zip(problem.features, problem.present, strict=True)):
        E = own[m].copy() if problem.graphs is None else problem.graphs[m] @ own[m]
        if problem.project_features:
            for i in np.flatnonzero(present):
                E[i] += _linear(p, f"projections.{m}", F[i])
        tables.append(E)
    return np.array(tables)


def center_features(E, cluster):
    """ICA: for each item the mean over the items of its cluster; -1 is no cluster."""
    out = np.zeros(E.shape)
    for i, c in enumerate(cluster):
        if c >= 0:
            out[i] = np.mean([E[j] for j in range(len(E)) if cluster[j] == c], axis=0)
    return out


# ---------------------------------------------------------------------------------------- attention


def _linear(p, name, x):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def _layer_norm(p, name, x):
    out = [(row - row.mean()) / np.sqrt(row.var() + 1e-5) for row in x]
    return np.array(out) * p[f"{name}.weight"] + p[f"{name}.bias"]


def _gelu(x):
    return x * (1 + np.vectorize(erf)(x / np.sqrt(2))) / 2


def _heads(x, n_heads):
    return np.split(x, n_heads, axis=1)


def item_logits(p, name, x, n_heads):
    """Q K^T / sqrt(d / h) of each head."""
    query, key, _ = np.split(_linear(p, f"{name}.item", x), 3, axis=1)
    pairs = zip(_heads(query, n_heads), _heads(key, n_heads), strict=True)
    return [q @ k.T / np.sqrt(q.shape[1]) for q, k in pairs]


def interest_logits(p, name, c, n_heads):
    """Q' K'^T / sqrt(d / h) of each head, from the centers' features."""
    query, key = np.split(_linear(p, f"{name}.interest", c), 2, axis=1)
    pairs = zip(_heads(query, n_heads), _heads(key, n_heads), strict=True)
    return [q @ k.T / np.sqrt(q.shape[1]) for q, k in pairs]


def attention(p, name, x, c, n_heads):
    """Causal: position t looks at 0 to t. The values come from the items alone."""
    logits = item_logits(p, name, x, n_heads)
    if c is not None:
        pairs = zip(logits, interest_logits(p, name, c, n_heads), strict=True)
        logits = [own + more for own, more in pairs]
    value = _heads(np.split(_linear(p, f"{name}.item", x), 3, axis=1)[2], n_heads)
    rows = []
    for t in range(len(x)):
        seen = slice(t + 1)
        row = [_softmax(a[t, seen]) @ v[seen] for a, v in zip(logits, value, strict=True)]
        rows.append(np.concatenate(row))
    return _linear(p, f"{name}.out", np.array(rows))


def block(p, name, x, c, n_heads):
    """Post-norm: attention, then a feed-forward network."""
    x = _layer_norm(p, f"{name}.norms.0", x + attention(p, f"{name}.attention", x, c, n_heads))
    hidden = _gelu(_linear(p, f"{name}.feed_forward.0", x))
    return _layer_norm(p, f"{name}.norms.1", x + _linear(p, f"{name}.feed_forward.2", hidden))


def states(p, problem, sequence):
    """One sequence to (L, M, d)."""
    out = []
    for m, E in enumerate(item_vectors(p, problem)):
        x = np.array([E[i] + p["encoder.position"][m, t] for t, i in enumerate(sequence)])
        x, c = _layer_norm(p, f"encoder.norms.{m}", x), None
        if problem.clusters is not None:
            c = center_features(E, problem.clusters[m])[sequence]
            c = _layer_norm(p, f"encoder.interest_norms.{m}", c)
        for b in range(problem.n_blocks):
            x = block(p, f"encoder.blocks.{m}.{b}", x, c, problem.n_heads)
        out.append(x)
    return np.stack(out, axis=1)


# --------------------------------------------------------------------------------- fusion and score


def fusion_weights(p, problem, state):
    """Of the modalities, for one (M, d) state; without the noise of training."""
    if problem.fusion == "mean":
        return np.full(len(state), 1 / len(state))
    gates = zip(p["encoder.gate"], p["encoder.gate_bias"], state, strict=True)
    return _softmax(np.array([gate @ s + bias for gate, bias, s in gates]) / problem.tau)


def scores(p, problem, states, alone=None):
    """Of every item, for each (M, d) state; `alone` leaves a single modality of the user."""
    E, own = item_vectors(p, problem), ids(p, problem)
    out = np.zeros((len(states), E.shape[1]))
    made_equal = unit if problem.similarity == "cosine" else np.asarray
    for row, state in zip(out, states, strict=True):
        weights = fusion_weights(p, problem, state)
        if alone is not None:
            weights = np.arange(len(state)) == alone
        for i in range(len(row)):
            if problem.item_vectors == "modality":
                pairs = zip(weights, state, E[:, i], strict=True)
                row[i] = sum(w * made_equal(s) @ made_equal(e) for w, s, e in pairs)
            else:
                user = np.sum([w * s for w, s in zip(weights, state, strict=True)], axis=0)
                item = np.mean(own[:, i] if problem.item_vectors == "id" else E[:, i], axis=0)
                row[i] = made_equal(user) @ made_equal(item)
    if problem.item_bias:
        out += biases(p, problem)
    return out


def next_item_loss(p, problem, sequences, temperature, negatives=None, alone=None):
    """Cross-entropy of each item but the first, among all items or among those drawn."""
    losses = []
    for sequence in sequences:
        logits = scores(p, problem, states(p, problem, sequence[:-1]), alone) / temperature
        for row, target in zip(logits, sequence[1:], strict=True):
            others = range(len(row)) if negatives is None else negatives
            drawn = [row[j] for j in others if j != target]
            losses.append(-np.log(_softmax(np.array([row[target], *drawn]))[0]))
    return np.mean(losses)


def modality_loss(p, problem, sequences, temperature, negatives=None):
    """The same of every modality by itself, added up; nothing where there is one alone."""
    if len(problem.features) < 2:
        return 0
    parts = range(len(problem.features))
    return sum(
        next_item_loss(p, problem, sequences, temperature, negatives, alone=m) for m in parts
    )
