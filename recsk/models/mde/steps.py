"""The steps of a fit of MDE: graphs and network, training, what is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import scipy.sparse as sp

from recsk.contract.preparation import Prepared
from recsk.models.mde.inputs import MDEInputs

if TYPE_CHECKING:
    from recsk.models.mde.training import Built
    from recsk.nn.training import TrainingLog

__all__ = ["MDESteps"]


class MDESteps(MDEInputs):
    """The steps of ``fit``, by the parameters of `recsk.MDERecommender`.

    PyTorch is imported when they run: a model that only answers does not need it.
    """

    def _build(self, prepared: Prepared[sp.csr_matrix]) -> Built:
        """Make the graphs and the network."""
        from recsk.models.mde.training import build

        return build(self, prepared)

    def _train(self, built: Built) -> TrainingLog:
        """Train the network in place."""
        from recsk.models.mde.training import train

        return train(self, built)

    def _keep(self, built: Built, log: TrainingLog) -> None:
        """Take out of the network what recommending needs, as arrays."""
        from recsk.models.mde.training import keep

        keep(self, built, log)
