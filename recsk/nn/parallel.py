"""One training in several processes: the share of each, and sums over all of them.

All processes have the whole network, the same data and the same random draws. Each computes the
losses of its share of a batch. Gradients are summed before a step, so that all take the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

__all__ = ["Processes"]

_LARGE = 2**18  # numbers from which a tensor is exchanged alone, and not copied beside others


class Processes:
    """The processes of `torch.distributed` that train one network, this one among them.

    Parameters
    ----------
    rank : int
        Of this process, from 0.
    size : int
        Number of processes.
    device : torch.device
        Where this process trains.
    """

    def __init__(self, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size, self.device = rank, size, device
        backend = dist.get_backend()
        if device.type == "cpu" and backend == "nccl":
            raise ValueError(
                "device='cpu' was asked for, but the processes exchange by 'nccl', which knows "
                "CUDA devices only: use init_process_group('gloo'), or device='cuda'"
            )
        # Gloo takes what is on the CPU.
        self._exchanged_on = torch.device("cpu") if backend == "gloo" else device

    @classmethod
    def current(cls, device: torch.device) -> Processes | None:
        """Return the processes of the default group; None where there is one process only."""
        if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
            return None
        return cls(dist.get_rank(), dist.get_world_size(), device)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and shows progress."""
        return self.rank == 0

    def slice_of(self, n: int) -> slice:
        """Return which of n rows are the share of this process; all shares together are all."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def sum_in_place(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors by their sums over the processes; small ones in one exchange."""
        small = [x for x in tensors if x.numel() < _LARGE]
        for tensor in tensors:
            if tensor.numel() >= _LARGE:
                self._sum(tensor)
        if small:
            flat = torch.cat([x.reshape(-1) for x in small])
            self._sum(flat)
            for tensor, total in zip(small, flat.split([x.numel() for x in small]), strict=True):
                tensor.copy_(total.view_as(tensor))

    @torch.no_grad()
    def sum_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Sum gradients; sparse ones have the same rows in every process."""
        grads = [weight.grad for weight in weights if weight.grad is not None]
        self.sum_in_place([x._values() if x.is_sparse else x for x in grads])

    def join_rows(self, rows: torch.Tensor, places: torch.Tensor, n: int) -> torch.Tensor:
        """Join the rows of all processes, (n, width), with gradients.

        `places` are those of this process's rows among the n. No two processes have the same.
        """
        joined: torch.Tensor = _Joined.apply(rows, (places,), (n, rows.shape[1]), self)
        return joined

    def join_columns(self, columns: torch.Tensor, width: int) -> torch.Tensor:
        """Join the columns `slice_of` of all processes, (n, width), with gradients."""
        place = slice(None), self.slice_of(width)
        joined: torch.Tensor = _Joined.apply(columns, place, (len(columns), width), self)
        return joined

    @torch.no_grad()
    def copy_weights(self, network: nn.Module) -> None:
        """Give all processes the weights of the first one."""
        for tensor in (*network.parameters(), *network.buffers()):
            x = tensor.detach().to(self._exchanged_on).contiguous()
            with self._exchange():
                dist.broadcast(x, src=0)
            tensor.copy_(x)

    def from_first(self, value: Any) -> Any:
        """Return the value that the first process has."""
        box = [value]
        with self._exchange():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def from_all(self, value: Any) -> list[Any]:
        """Return the values of all processes, by rank."""
        box = [None] * self.size
        with self._exchange():
            dist.all_gather_object(box, value)
        return box

    def sum_numbers(self, *numbers: float) -> list[float]:
        """Sum numbers over the processes."""
        total = torch.tensor(numbers, dtype=torch.float64, device=self._exchanged_on)
        self._sum(total)
        return total.tolist()

    def _sum(self, tensor: torch.Tensor) -> None:
        x = tensor.to(self._exchanged_on).contiguous()
        with self._exchange():
            dist.all_reduce(x)
        if x is not tensor:
            tensor.copy_(x)

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        """Exchange within a ``with`` block, with an error that says what to do."""
        on_cuda = self.device.type == "cuda"  # objects go by the current device
        with torch.cuda.device(self.device) if on_cuda else nullcontext():
            try:
                yield
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                raise RuntimeError(
                    f"a fit in {self.size} processes cannot go on: another process has ended or "
                    f"does not answer, noticed by rank {self.rank}. See its output for the cause. "
                    "Start all processes again; with a checkpoint the fit goes on from there, in "
                    f"any number of processes. {error}"
                ) from error


class _Joined(torch.autograd.Function):
    """Parts of a matrix from all processes; a part's gradient is a sum over the processes."""

    @staticmethod
    def forward(
        ctx: Any,
        part: torch.Tensor,
        place: tuple[Any, ...],
        shape: tuple[int, int],
        processes: Processes,
    ) -> torch.Tensor:
        ctx.place, ctx.processes = place, processes
        joined = part.new_zeros(shape)
        joined[place] = part
        processes._sum(joined)  # with zeros: nothing is rounded
        return joined

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        total = grad.clone()  # autograd may need its own
        ctx.processes._sum(total)
        return total[ctx.place].contiguous(), None, None, None
