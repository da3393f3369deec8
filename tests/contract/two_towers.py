"""The smallest network: what an estimator of `TrainedRecommender` has to write."""

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import nn

from recsk.contract import Interval, Learned, TrainedRecommender, Users
from recsk.contract.hold_out import hold_out
from recsk.contract.preparation import Prepared
from recsk.contract.training import warn_if_unfinished
from recsk.contract.validation import Validation
from recsk.data.weights import weight_matrix
from recsk.nn.losses import bpr_loss
from recsk.nn.sampling import InteractionSampler


class TwoTowers(nn.Module):
    """Learned vectors of users; of items, plus their projected features."""

    def __init__(self, n_users, n_items, features, n_factors, generator):
        super().__init__()
        self.features = features  # of every modality, (n_items, n_columns)

        def normal(*shape):
            return nn.Parameter(torch.empty(shape).normal_(0.0, 0.1, generator=generator))

        self.user, self.item = normal(n_users, n_factors), normal(n_items, n_factors)
        self.projection = normal(features.shape[1], n_factors)

    def items(self):
        return self.item + self.features @ self.projection

    def loss_terms(self, batch):
        """Terms by name; their sum is minimised, and each has its curve in `loss_curve_`."""
        user, items = self.user[batch.user], self.items()
        positive = (user * items[batch.positive]).sum(dim=1)
        negative = (user * items[batch.negative]).sum(dim=1)
        return {"ranking": bpr_loss(positive, negative, batch.weight)}


@dataclass(frozen=True)
class Built:
    """A network that is ready to be trained, and its data."""

    prepared: Prepared[Any]
    network: TwoTowers


class TwoTowersRecommender(TrainedRecommender):
    """Learned vectors of users and items, plus the projected features of the items."""

    parameter_constraints = {
        "n_factors": [Interval(Integral, 1, None, closed="left")],
    }
    _paper = {}  # where the settings of a paper differ from the defaults, for `paper()`
    _sizes = ("batch_size", "n_factors")  # what to lower where memory is not enough

    def __init__(
        self,
        *,
        n_factors=64,
        learning_rate=0.01,
        batch_size=1024,
        max_epochs=100,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=20,
        eval_metric="recall@20",
        score_k=10,
        device="auto",
        random_state=None,
        verbose=False,
    ):
        self.n_factors = n_factors
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.eval_metric = eval_metric
        self.score_k = score_k
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self, X, y=None, *, item_features=None, eval_set=None, sample_weight=None, checkpoint=None
    ):
        prepared = self._prepare(X, item_features, eval_set, sample_weight, checkpoint)
        with self._running(prepared.interactions):
            built = self._build(prepared)
            log = self._train(built)
            self._keep(built, log)
        warn_if_unfinished(log)
        return self

    # Prepare: `_prepare` is written for all estimators. It finds everything that can be wrong
    # before any work starts, and asks for the form that the network trains on.

    def _training_set(self, interactions):
        weight = interactions.value  # None where all interactions count the same
        if weight is None:
            return interactions.to_csr()
        shape = interactions.n_users, interactions.n_items
        return weight_matrix(interactions.user, interactions.item, weight, shape)

    def _hold_out(self, train_set, n_items, rng):
        return hold_out(train_set, self.validation_fraction, rng)

    def _build(self, prepared):
        """Make the network, on the device."""
        n_users, n_items = prepared.train_set.shape
        # Missing rows (NaN) are zeros by now, and the columns are on one scale.
        parts = [part.values for part in prepared.modalities]
        columns = np.hstack(parts) if parts else np.zeros((n_items, 0), np.float32)
        network = TwoTowers(
            n_users,
            n_items,
            torch.as_tensor(columns, device=prepared.device),
            int(self.n_factors),
            torch.Generator().manual_seed(prepared.seed),
        )
        return Built(prepared, network.to(prepared.device))

    def _train(self, built):
        """Train the network in place."""
        prepared, network = built.prepared, built.network
        train_set, device = prepared.train_set, prepared.device
        generator = torch.Generator(device).manual_seed(prepared.seed)
        user, item = train_set.nonzero()
        batches = InteractionSampler(
            torch.as_tensor(user, dtype=torch.int64, device=device),
            torch.as_tensor(item, dtype=torch.int64, device=device),
            n_items=train_set.shape[1],
            batch_size=int(self.batch_size),
            generator=generator,
            weight=torch.as_tensor(train_set.data / train_set.data.mean(), device=device),
        )
        evaluate = None
        if prepared.held_out is not None:
            validation = Validation(train_set, prepared.held_out, self.eval_metric)

            def evaluate():
                return validation(*_vectors(network))

        return self._train_network(
            prepared,
            network,
            batches,
            network.loss_terms,
            evaluate=evaluate,
            random_states=(generator, prepared.rng),
        )

    def _keep(self, built, log):
        """Keep what recommending needs, as arrays on the CPU."""
        prepared = built.prepared
        self._keep_log(prepared, log)
        n_users, n_modalities = prepared.train_set.shape[0], max(len(prepared.features), 1)
        self.user_preference_ = np.full((n_users, n_modalities), 1 / n_modalities, np.float32)
        users, items = _vectors(built.network)
        self._set_fitted(prepared.interactions, Learned(items, users))

    def encode(self, histories):
        """New users are the mean of the items in their history."""
        matrix = histories.to_csr()
        length = np.maximum(np.diff(matrix.indptr), 1).astype(np.float32)
        return Users((matrix @ self.item_embedding_) / length[:, None])


def _vectors(network):
    with torch.no_grad():
        vectors = network.user, network.items()
        return [part.detach().cpu().numpy().copy() for part in vectors]
