"""The steps of a fit of MDE: graphs and network, training, what is kept."""

from __future__ import annotations

import scipy.sparse as sp

from recsk.contract.preparation import Prepared
from recsk.models.mde import training
from recsk.models.mde.inputs import MDEInputs
from recsk.models.mde.training import Built
from recsk.nn.training import TrainingLog

__all__ = ["MDESteps"]


class MDESteps(MDEInputs):
    """The steps of ``fit``, by the parameters of `recsk.MDERecommender`."""

    def _build(self, prepared: Prepared[sp.csr_matrix]) -> Built:
        """Make the graphs and the network."""
        return training.build(self, prepared)

    def _train(self, built: Built) -> TrainingLog:
        """Train the network in place."""
        return training.train(self, built)

    def _keep(self, built: Built, log: TrainingLog) -> None:
        """Take out of the network what recommending needs, as arrays."""
        training.keep(self, built, log)
