"""Two methods of the literature for new items, in small: DropoutNet and CLCRec.

Both return vectors of users and of all items, new ones last; inner products are scores.

- DropoutNet (Volkovs, Yu and Poutanen, NeurIPS 2017): networks map the ALS factors and the content
  of an item, and the factors of a user, to vectors whose products reproduce those of ALS. In half
  of the steps an item's factors are dropped, so that content must do.
- CLCRec (Wei et al., Contrastive learning for cold-start recommendation, ACM Multimedia 2021):
  contrastive losses pull the encoded content of an item to its id vector, and a user to the items
  of its history; items are shown by their content in half of the cases.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn
from torch.nn import functional

__all__ = ["clcrec", "dropoutnet"]

Vectors = tuple[np.ndarray, np.ndarray]
_WIDTH, _HIDDEN = 64, 256
_N_NEGATIVES, _TEMPERATURE = 512, 0.2  # of CLCRec


def dropoutnet(
    users: np.ndarray, items: np.ndarray, content: np.ndarray, seed: int, n_steps: int = 3000
) -> Vectors:
    """DropoutNet on ALS factors of users and of known items, and the content of all items."""
    torch.manual_seed(seed)
    n_known, width = items.shape
    # One scale for both, so that the products of ALS stay as they are.
    scale = (
        float(np.linalg.norm(users, axis=1).mean() / np.linalg.norm(items, axis=1).mean()) ** 0.5
    )
    of_users, of_items = _tensor(users / scale), _tensor(items * scale)
    inputs = _tensor(content)
    user_net = _network(width)
    item_net = _network(width + inputs.shape[1])
    optimizer = torch.optim.Adam([*user_net.parameters(), *item_net.parameters()], 1e-3)
    for _ in range(n_steps):
        user = torch.randint(len(of_users), (256,))
        item = torch.randint(n_known, (512,))
        target = of_users[user] @ of_items[item].T
        kept = (torch.rand(len(item), 1) < 0.5).float()
        found = item_net(torch.cat([kept * of_items[item], inputs[item]], dim=1))
        loss = functional.mse_loss(user_net(of_users[user]) @ found.T, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        factors = torch.zeros(len(inputs), width)
        factors[:n_known] = of_items
        catalogue = item_net(torch.cat([factors, inputs], dim=1))
        return user_net(of_users).numpy(), catalogue.numpy()


def clcrec(train: sp.csr_matrix, content: np.ndarray, seed: int, n_epochs: int = 25) -> Vectors:
    """CLCRec on a matrix of users x known items and the content of all items."""
    torch.manual_seed(seed)
    n_users, n_known = train.shape
    inputs = _tensor(content)
    users, items = (nn.Embedding(n, _WIDTH) for n in (n_users, n_known))
    for table in (users, items):
        nn.init.normal_(table.weight, std=0.1)
    encoder = _network(inputs.shape[1])
    parameters = [*users.parameters(), *items.parameters(), *encoder.parameters()]
    optimizer = torch.optim.Adam(parameters, 3e-3)
    for user, item in _batches(train, n_epochs):
        encoded, learned = functional.normalize(encoder(inputs[item])), _unit(items, item)
        shown = torch.where(torch.rand(len(item), 1) < 0.5, encoded, learned)
        # Uniform negatives, as in the paper; those of a batch would punish popular items.
        negative = torch.randint(n_known, (_N_NEGATIVES,))
        same = item[:, None] == negative
        others = _unit(items, negative)
        loss = _contrast(encoded, learned, others, same)
        of_others = functional.normalize(encoder(inputs[negative]))
        others = torch.where(torch.rand(_N_NEGATIVES, 1) < 0.5, of_others, others)
        loss = loss + _contrast(_unit(users, user), shown, others, same)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        everything = torch.arange(n_known)
        of_new = functional.normalize(encoder(inputs[n_known:]))
        catalogue = torch.cat([_unit(items, everything), of_new])
        return functional.normalize(users.weight).numpy(), catalogue.numpy()


def _network(n_columns: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_columns, _HIDDEN), nn.Tanh(), nn.Linear(_HIDDEN, _WIDTH))


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(values, dtype=np.float32))


def _unit(table: nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
    return functional.normalize(table(ids))


def _batches(train: sp.csr_matrix, n_epochs: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    user, item = (torch.as_tensor(ids, dtype=torch.int64) for ids in train.nonzero())
    for _ in range(n_epochs):
        for part in torch.randperm(len(user)).split(2048):
            yield user[part], item[part]


def _contrast(
    anchors: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor, same: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of the positive of each row against the negatives that are other items."""
    of_positives = (anchors * positives).sum(dim=1, keepdim=True)
    of_negatives = (anchors @ negatives.T).masked_fill(same, -torch.inf)
    logits = torch.cat([of_positives, of_negatives], dim=1) / _TEMPERATURE
    return functional.cross_entropy(logits, torch.zeros(len(anchors), dtype=torch.int64))
