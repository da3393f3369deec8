"""The steps of a fit of MDSRec: relations and network, training, what is kept."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from recsk.contract.preparation import Prepared
from recsk.data.sequences import Sequences
from recsk.models.mdsrec.inputs import MDSRecInputs

if TYPE_CHECKING:
    from recsk.models.mdsrec.training import Built
    from recsk.nn.training import TrainingLog

__all__ = ["MDSRecSteps"]


class MDSRecSteps(MDSRecInputs):
    """The steps of ``fit``, by the parameters of `recsk.MDSRecRecommender`.

    PyTorch is imported when they run: a model that only answers does not need it.
    """

    def _seeded(self, prepared: Prepared[Any]) -> AbstractContextManager[None]:
        from recsk.nn.dropout import seeded_dropout

        processes = prepared.processes
        rank = 0 if processes is None else processes.rank
        return seeded_dropout(prepared.seed, prepared.device, rank)

    def _build(self, prepared: Prepared[Sequences]) -> Built:
        """Make the relation graphs, the interests and the network."""
        from recsk.models.mdsrec.training import build

        return build(self, prepared)

    def _train(self, built: Built) -> TrainingLog:
        """Train the network in place."""
        from recsk.models.mdsrec.training import train

        return train(self, built)

    def _keep(self, built: Built, log: TrainingLog) -> None:
        """Take out of the network what recommending needs, as arrays."""
        from recsk.models.mdsrec.training import keep

        keep(self, built, log)
