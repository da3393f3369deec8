"""A pretended machine with CUDA devices, which shows on a CPU where tensors would be.

All tensors stay on the CPU. The storage of a tensor of a pretended device has an attribute that
names this device, and two modes of torch watch all operations:

- `_Calls` sees what Python calls. It answers ``tensor.device``, moves tensors from device to device
  and makes new ones where they are asked for.
- `_Operations` sees what these calls do inside torch, forward and backward. It rejects operations
  on tensors of two devices or with a generator of another device, and notes waits for the device.

It shows nothing of what the kernels of CUDA support, of their rounding, memory and streams.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_CPU = torch.device("cpu")
_CLAIM, _PINNED = "_pretended_device", "_pretended_pinned"
_RealGenerator, _RealAutocast = torch.Generator, torch.autocast
# The size of their result, or the result itself, is read from the device.
_WAITING = {
    "_local_scalar_dense",
    "_unique2",
    "_coalesce",
    "bincount",
    "equal",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "unique_consecutive",
    "unique_dim",
}
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}


class Event(NamedTuple):
    """Something that a program should know of: what happened, and in which line of recsk."""

    what: str
    where: str


class PretendedCuda:
    """What is known of the pretended devices.

    Attributes
    ----------
    waits : list of Event
        Where the CPU waited for a device, copies between them included.
    copies_to_cpu : list of Event
        Those waits that copied a tensor to the CPU.
    n_operations : int
        Operations on a device.
    """

    def __init__(self, n_devices: int) -> None:
        self.n_devices = n_devices
        self.current = 0
        self.generators = tuple(_Generator(f"cuda:{n}") for n in range(n_devices))
        self.sync_debug_mode = "default"
        self.inside: torch.device | None = None  # the device of the call of Python that runs
        self.waits: list[Event] = []
        self.copies_to_cpu: list[Event] = []
        self.n_operations = 0

    def find(self, device) -> torch.device | None:
        """Return the pretended device that is meant, or None for any other."""
        if device is None or isinstance(device, bool):
            return None
        if isinstance(device, int):
            return torch.device("cuda", device)
        device = torch.device(device)
        if device.type != "cuda":
            return None
        return torch.device("cuda", self.current if device.index is None else device.index)

    def note_wait(self, what: str, *, to_cpu: bool = False) -> None:
        if self.sync_debug_mode == "error":
            raise RuntimeError(f"called a synchronizing CUDA operation: {what}")
        frames = [f for f in traceback.extract_stack() if "/recsk/" in f.filename]
        names = [f"{f.filename.rpartition('/recsk/')[2]}:{f.lineno}" for f in frames[-2:]]
        event = Event(what, " < ".join(reversed(names)))
        self.waits.append(event)
        if to_cpu:
            self.copies_to_cpu.append(event)


class _Generator(torch.Generator):
    """A generator that names the device that it was asked for."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls, "cpu")

    def __init__(self, device="cpu") -> None:
        self._device = torch.device(device)

    @property
    def device(self) -> torch.device:
        return self._device


class _GeneratorType(type):
    """The type of `torch.Generator`, under which the true one is an instance as well."""

    def __instancecheck__(cls, x) -> bool:
        return isinstance(x, _RealGenerator)


@contextmanager
def _unwatched() -> Iterator[None]:
    with torch._C._DisableTorchDispatch(), torch._C.DisableTorchFunction():
        yield


def _storage(tensor: torch.Tensor) -> torch.UntypedStorage:
    if tensor.layout is torch.sparse_coo:
        tensor = tensor._values()
    elif tensor.layout is not torch.strided:
        tensor = tensor.values()
    return tensor.untyped_storage()


def _device_of(tensor: torch.Tensor) -> torch.device | None:
    """Return the pretended device of a tensor; None is the CPU."""
    with _unwatched():
        return getattr(_storage(tensor), _CLAIM, None)


def _place(tensor: torch.Tensor, device: torch.device | None) -> torch.Tensor:
    if device is not None:
        with _unwatched():
            setattr(_storage(tensor), _CLAIM, device)
    return tensor


def _tensors(x) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(x) if isinstance(leaf, torch.Tensor)]


def _generator_of(x) -> torch.Generator | None:
    return next((leaf for leaf in tree_leaves(x) if isinstance(leaf, _RealGenerator)), None)


class _Operations(TorchDispatchMode):
    def __init__(self, cuda: PretendedCuda) -> None:
        super().__init__()
        self.cuda = cuda

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        cuda, kwargs = self.cuda, kwargs or {}
        name = func.overloadpacket.__name__
        given = _tensors((args, kwargs))
        devices = [_device_of(tensor) for tensor in given]
        device = next((d for d in devices if d is not None), None)
        if device is None:
            out = func(*args, **kwargs)
            # Made inside torch, with the options of a tensor of the device.
            for tensor in [] if given else _tensors(out):
                _place(tensor, cuda.inside)
            return out
        cuda.n_operations += 1
        if name == "copy_":
            source = given[1] if len(given) > 1 else None
            if source is not None and devices[0] != devices[1]:
                self._note_copy(source, devices[0], kwargs.get("non_blocking", args[2:] == (True,)))
            return func(*args, **kwargs)
        if name != "_to_copy":
            self._check_devices(name, args, given, devices)
        self._note_waits(name, args, kwargs)
        out = self._draw(func, args, kwargs, device)
        for tensor in _tensors(out):
            _place(tensor, device)
        return out

    def _note_copy(self, source, target: torch.device | None, non_blocking: bool) -> None:
        note_copy(self.cuda, source, target, non_blocking)

    def _check_devices(self, name, args, given, devices) -> None:
        strict = list(zip(given, devices, strict=True))
        if name in _INDEXING:  # an index may be on the CPU
            indices = {id(tensor) for tensor in _tensors(args[1])}
            if any(d is None for t, d in strict if id(t) in indices):
                self.cuda.note_wait(f"{name} by an index on the CPU")
            strict = [(t, d) for t, d in strict if id(t) not in indices]
        # A number may be on the CPU.
        found = {d or _CPU for t, d in strict if d is not None or t.dim()}
        if len(found) > 1:
            both = " and ".join(sorted(map(str, found)))
            shapes = [tuple(t.shape) for t in given]
            raise RuntimeError(
                f"{name}: Expected all tensors to be on the same device, but found {both}; "
                f"shapes {shapes}"
            )
        if name in _INDEXING and any(d is None for _, d in strict):
            self.cuda.note_wait(f"{name} of a number of Python")

    def _note_waits(self, name, args, kwargs) -> None:
        if name in _WAITING:
            self.cuda.note_wait(name, to_cpu=name == "_local_scalar_dense")
        elif name in _INDEXING:
            if any(t.dtype in (torch.bool, torch.uint8) for t in _tensors(args[1])):
                self.cuda.note_wait(f"{name} by a mask")
        elif name == "repeat_interleave" and kwargs.get("output_size") is None:
            self.cuda.note_wait(name)

    def _draw(self, func, args, kwargs, device):
        """Call an operation; random ones draw from a generator of the device."""
        generator = _generator_of((args, kwargs))
        if generator is not None and self.cuda.find(generator.device) != device:
            raise RuntimeError(
                f"{func}: Expected a '{device}' device type for generator but found "
                f"'{generator.device}'"
            )
        if generator is None and torch.Tag.nondeterministic_seeded in func.tags:
            with drawing_from(self.cuda.generators[device.index]):
                return func(*args, **kwargs)
        return func(*args, **kwargs)


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let what draws from the default generator of the CPU draw from another one."""
    before = torch.default_generator.get_state()
    torch.default_generator.set_state(generator.get_state())
    try:
        yield
    finally:
        generator.set_state(torch.default_generator.get_state())
        torch.default_generator.set_state(before)


def note_copy(
    cuda: PretendedCuda, source: torch.Tensor, target: torch.device | None, non_blocking: bool
) -> None:
    """Note a copy between devices that the CPU waits for."""
    origin = _device_of(source)
    if target is None:
        cuda.note_wait(f"copy from {origin} to the CPU", to_cpu=True)
    elif origin is None:
        with _unwatched():
            pinned = getattr(_storage(source), _PINNED, False)
        if not non_blocking:
            cuda.note_wait(f"blocking copy to {target}")
        elif not pinned:
            cuda.note_wait(f"copy to {target} from memory that is not pinned")


class _Calls(TorchFunctionMode):
    def __init__(self, cuda: PretendedCuda) -> None:
        super().__init__()
        self.cuda = cuda

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", str(func))
        answer = getattr(self, f"_answer_{name.strip('_')}", None)
        if func == torch.Tensor.device.__get__:
            return _device_of(args[0]) or args[0].device
        if func == torch.Tensor.is_cuda.__get__:
            return _device_of(args[0]) is not None
        if answer is not None and args and isinstance(args[0], torch.Tensor):
            return answer(func, args, kwargs)
        target = self.cuda.find(kwargs.get("device"))
        if target is not None:
            return self._make(func, name, args, kwargs, target)
        on = next((d for t in _tensors((args, kwargs)) if (d := _device_of(t)) is not None), None)
        generator = kwargs.get("generator")
        if generator is not None and on is None and self.cuda.find(generator.device) is not None:
            raise RuntimeError(f"{name}: Expected a 'cpu' device type for generator")
        return self._inside(on, lambda: func(*args, **kwargs))

    def _inside(self, device, call):
        before, self.cuda.inside = self.cuda.inside, device
        try:
            return call()
        finally:
            self.cuda.inside = before

    def _make(self, func, name, args, kwargs, target):
        """Call what makes a tensor on a device."""
        generator = kwargs.get("generator")
        if generator is not None and self.cuda.find(generator.device) != target:
            raise RuntimeError(
                f"{name}: Expected a '{target}' device type for generator but found "
                f"'{generator.device}'"
            )
        if name in ("as_tensor", "tensor", "asarray"):
            source = args[0]
            if isinstance(source, torch.Tensor):
                return source.to(target, kwargs.get("dtype"))
            self.cuda.note_wait(f"blocking copy to {target}")
            del kwargs["device"]
            return _place(torch.tensor(source, **kwargs), target)
        kwargs["device"] = "cpu"
        if generator is None:
            with drawing_from(self.cuda.generators[target.index]):
                return _place(func(*args, **kwargs), target)
        return _place(func(*args, **kwargs), target)

    def _answer_numpy(self, func, args, kwargs):
        if _device_of(args[0]) is not None:
            raise TypeError("can't convert cuda device type tensor to numpy. Use Tensor.cpu()")
        return func(*args, **kwargs)

    _answer_array = _answer_numpy

    def _answer_tolist(self, func, args, kwargs):
        if _device_of(args[0]) is None:
            return func(*args, **kwargs)
        self.cuda.note_wait("tolist", to_cpu=True)
        with _unwatched():
            return func(*args, **kwargs)

    def _answer_deepcopy(self, func, args, kwargs):
        with _unwatched():
            copy = func(*args, **kwargs)
        return _place(copy, _device_of(args[0]))

    def _answer_pin_memory(self, func, args, kwargs):
        assert _device_of(args[0]) is None
        with _unwatched():
            pinned = args[0].clone()
            setattr(_storage(pinned), _PINNED, True)
        return pinned

    def _answer_is_pinned(self, func, args, kwargs):
        with _unwatched():
            return getattr(_storage(args[0]), _PINNED, False)

    def _answer_backward(self, func, args, kwargs):
        # torch would call the Python code of gradients without this mode.
        (tensor,) = args
        gradient = kwargs.pop("gradient", None)
        assert not any(kwargs.values()), "only what recsk needs: gradients of all leaves"
        if gradient is None:
            gradient = torch.ones_like(tensor)
        on = _device_of(tensor)
        gradient = _place(gradient, on)
        with self:
            self._inside(
                on,
                lambda: torch.autograd.graph._engine_run_backward(
                    (tensor,),
                    (gradient,),
                    False,
                    False,
                    (),
                    allow_unreachable=True,
                    accumulate_grad=True,
                ),
            )

    def _answer_cpu(self, func, args, kwargs):
        return self._answer_to(func, (args[0], _CPU), kwargs)

    def _answer_cuda(self, func, args, kwargs):
        return self._answer_to(func, (args[0], "cuda", *args[1:]), kwargs)

    def _answer_to(self, func, args, kwargs):
        tensor, *rest = args
        dtype, device = kwargs.pop("dtype", None), kwargs.pop("device", None)
        non_blocking = kwargs.pop("non_blocking", False)
        for x in rest:
            if isinstance(x, torch.Tensor):
                dtype, device = x.dtype, _device_of(x) or "cpu"
            elif isinstance(x, torch.dtype):
                dtype = x
            elif isinstance(x, bool):
                non_blocking = x
            elif x is not None:
                device = x
        origin = _device_of(tensor)
        if device is not None and self.cuda.find(device) is None:
            if torch.device(device).type != "cpu":
                return func(*args, **kwargs)
        target = origin if device is None else self.cuda.find(device)
        if target != origin:
            note_copy(self.cuda, tensor, target, non_blocking)
            tensor = _move(tensor, target)
        if dtype is None:
            return tensor
        return self._inside(target, lambda: func(tensor, dtype, **kwargs))


class _Move(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor, target):
        ctx.origin = _device_of(tensor)
        return _copy_to(tensor, target)

    @staticmethod
    def backward(ctx, grad):
        return _copy_to(grad, ctx.origin), None


def _move(tensor: torch.Tensor, target: torch.device | None) -> torch.Tensor:
    with torch._C.DisableTorchFunction():
        if tensor.requires_grad and torch.is_grad_enabled():
            return _Move.apply(tensor, target)
    return _copy_to(tensor, target)


def _copy_to(tensor: torch.Tensor, target: torch.device | None) -> torch.Tensor:
    with _unwatched():
        copy = tensor.detach().clone()
    return _place(copy, target)


@contextmanager
def _autocast(device_type, **options) -> Iterator[None]:
    """Autocast of a pretended device is that of the CPU too, where its tensors are."""
    with ExitStack() as stack:
        for kind in {device_type, "cpu"} if device_type == "cuda" else {device_type}:
            stack.enter_context(_RealAutocast(kind, **options))
        yield


@contextmanager
def pretended_cuda(n_devices: int = 2) -> Iterator[PretendedCuda]:
    """Run a ``with`` block on a machine that seems to have CUDA devices.

    Parameters
    ----------
    n_devices : int, default=2

    Returns
    -------
    PretendedCuda
        What happens on the devices.
    """
    cuda = PretendedCuda(n_devices)
    for number, generator in enumerate(cuda.generators):
        generator.manual_seed(number + 1)

    class Generator(metaclass=_GeneratorType):
        def __new__(cls, device="cpu"):
            return _Generator(device)

    @contextmanager
    def device(which) -> Iterator[None]:
        before, cuda.current = cuda.current, cuda.find(which).index
        try:
            yield
        finally:
            cuda.current = before

    def of(which="cuda") -> torch.Generator:
        return cuda.generators[cuda.find(which).index]

    patches = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "is_bf16_supported": lambda including_emulation=True: True,
        "device_count": lambda: n_devices,
        "current_device": lambda: cuda.current,
        "default_generators": cuda.generators,
        "manual_seed": lambda seed: of().manual_seed(seed),
        "manual_seed_all": lambda seed: [g.manual_seed(seed) for g in cuda.generators],
        "get_rng_state": lambda which="cuda": of(which).get_state(),
        "set_rng_state": lambda state, which="cuda": of(which).set_state(state),
        "set_sync_debug_mode": lambda mode: setattr(cuda, "sync_debug_mode", mode),
        "device": device,
    }
    with (
        mock.patch.multiple(torch.cuda, **patches),
        mock.patch.object(torch, "Generator", Generator),
        mock.patch.object(torch, "autocast", _autocast),
        _Calls(cuda),
        _Operations(cuda),
    ):
        yield cuda
