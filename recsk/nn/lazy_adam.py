"""Adam at the cost of the rows that have a gradient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

__all__ = ["LazyAdam", "rows_of"]


def rows_of(table: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Select distinct rows of a table. The table's gradient is sparse: these rows only."""
    rows: torch.Tensor = _Rows.apply(table, ids)
    return rows


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(ids)
        ctx.shape = table.shape
        return table.index_select(0, ids)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        (ids,) = ctx.saved_tensors
        # The rows are distinct: nothing has to be sorted or summed.
        return torch.sparse_coo_tensor(
            ids[None], grad, ctx.shape, check_invariants=False, is_coalesced=True
        ), None


class LazyAdam:
    r"""Adam that changes only the rows of a table that have a gradient.

    A row :math:`w` with gradient :math:`g`, :math:`n` steps after its last one, is changed by

    .. math:: m \leftarrow \beta_1^n m + (1 - \beta_1^n) g, \qquad
              v \leftarrow \beta_2^n v + (1 - \beta_2^n) \frac{g^2}{n}, \qquad
              w \leftarrow w - \eta \frac{\hat m}{\sqrt{\hat v} + \epsilon}

    This is Adam for a row with a gradient in every step. A row with a gradient in one step of
    :math:`n` moves about as far as in Adam, which moves it in the steps between as well: its
    :math:`v` is the mean over all steps. `torch.optim.SparseAdam` leaves rare rows behind, which
    move :math:`\sqrt n` times less.

    Parameters
    ----------
    parameters : iterable of Parameter
        Gradients may be dense, or sparse with distinct rows.
    learning_rate : float
        :math:`\eta`; ``param_groups[0]["lr"]`` changes it.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        self.param_groups: list[dict[str, Any]] = [
            {"params": list(parameters), "lr": learning_rate}
        ]
        self.n_steps = 0
        self._moments = [
            (torch.zeros_like(weight), torch.zeros_like(weight))
            for weight in self.param_groups[0]["params"]
        ]
        self._last_step = [
            torch.zeros(len(weight), device=weight.device)
            for weight in self.param_groups[0]["params"]
        ]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; they are always set to None."""
        for weight in self.param_groups[0]["params"]:
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the weights by their gradients."""
        self.n_steps += 1
        state = zip(self.param_groups[0]["params"], self._moments, self._last_step, strict=True)
        dense = []
        for weight, moments, last_step in state:
            if weight.grad is None:
                continue
            if weight.grad.is_sparse:
                self._step_rows(weight, weight.grad, moments, last_step)
            else:
                dense.append((weight, weight.grad, *moments))
        if dense:
            self._step_dense(*map(list, zip(*dense, strict=True)))

    def _step_dense(
        self,
        weights: list[torch.Tensor],
        grads: list[torch.Tensor],
        first: list[torch.Tensor],
        second: list[torch.Tensor],
    ) -> None:
        # The kernel of torch.optim.Adam, in one pass over the memory. To make an object of that
        # class takes seconds: it imports torch's compiler.
        step = torch.full((), float(self.n_steps), device=weights[0].device)
        torch._fused_adam_(
            weights,
            grads,
            first,
            second,
            [],
            [step] * len(weights),
            lr=self.param_groups[0]["lr"],
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            weight_decay=0.0,
            eps=_EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def _step_rows(
        self,
        weight: torch.Tensor,
        grad: torch.Tensor,
        moments: tuple[torch.Tensor, torch.Tensor],
        last_step: torch.Tensor,
    ) -> None:
        # Distinct, though autograd forgets to say so; coalescing them would sort and wait.
        rows, values = grad._indices()[0], grad._values()
        passed = (self.n_steps - last_step.index_select(0, rows))[:, None]
        last_step.index_fill_(0, rows, self.n_steps)
        decays = tuple(beta**passed for beta in _BETAS)
        selected = tuple(moment.index_select(0, rows) for moment in moments)
        change = self._change(values, selected, decays, passed)
        for moment, changed in zip(moments, selected, strict=True):
            moment.index_copy_(0, rows, changed)
        weight.index_add_(0, rows, change, alpha=-1)

    def _change(
        self,
        grad: torch.Tensor,
        moments: tuple[torch.Tensor, ...],
        decays: tuple[Any, ...],
        passed: torch.Tensor,
    ) -> torch.Tensor:
        """Update the moments in place, and return what is subtracted from the weights."""
        first, second = moments
        first.mul_(decays[0]).add_((1 - decays[0]) * grad)
        second.mul_(decays[1]).add_((1 - decays[1]) / passed * grad.square())
        corrections = tuple(1 - beta**self.n_steps for beta in _BETAS)
        scale = (second / corrections[1]).sqrt_().add_(_EPSILON)
        return (first * (self.param_groups[0]["lr"] / corrections[0])).div_(scale)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` continues from; the weights are not part of it."""
        return {
            "n_steps": self.n_steps,
            "learning_rate": self.param_groups[0]["lr"],
            "moments": self._moments,
            "last_step": self._last_step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self.n_steps = state["n_steps"]
        self.param_groups[0]["lr"] = state["learning_rate"]
        for own, saved in zip(self._moments, state["moments"], strict=True):
            for moment, value in zip(own, saved, strict=True):
                moment.copy_(value)
        for last_step, saved in zip(self._last_step, state["last_step"], strict=True):
            last_step.copy_(saved)


_BETAS = 0.9, 0.999
_EPSILON = 1e-8
