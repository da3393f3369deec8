import threading
from contextlib import ExitStack

import pytest
import torch

from recsk.nn.state import default_state


@pytest.fixture(autouse=True)
def left_as_it_was():
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)


def state():
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_autocast_enabled("cpu"),
        torch.is_autocast_enabled("cuda"),
    )


def default(grad):
    return (grad, False, torch.float32, torch.device("cpu"), False, False)


def leave_everything(stack):
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    stack.enter_context(torch.autocast("cpu"))


@pytest.mark.parametrize("grad", [True, False])
def test_it_is_the_state_after_the_import(grad):
    before = state()
    with default_state(grad=grad):
        assert state() == default(grad)
    assert state() == before == default(True)


@pytest.mark.parametrize("grad", [True, False])
def test_whatever_was_left_behind(grad):
    with ExitStack() as stack:
        leave_everything(stack)
        before = state()
        with default_state(grad=grad):
            assert state() == default(grad)
            weight = torch.ones(2, requires_grad=True)
            assert (weight @ weight).requires_grad == grad and weight.dtype == torch.float32
            with default_state(grad=not grad):
                assert state() == default(not grad)
            assert state() == default(grad)
        assert state() == before
        with pytest.raises(ZeroDivisionError), default_state(grad=grad):
            raise ZeroDivisionError
        assert state() == before


@pytest.mark.parametrize(
    "mode", [torch.no_grad, torch.inference_mode, lambda: torch.device("meta")]
)
def test_inside_a_mode(mode):
    with mode():
        before = state()
        with default_state(grad=True):
            assert state() == default(True)
            assert not torch.ones(1).is_inference()
        assert state() == before


def test_the_last_of_two_threads_restores_the_dtype():
    torch.set_default_dtype(torch.float64)
    entered, leave = threading.Event(), threading.Event()
    found = []

    def other():
        with default_state(grad=True):
            entered.set()
            leave.wait(20)
            found.append(torch.get_default_dtype())

    thread = threading.Thread(target=other)
    with default_state(grad=True):
        thread.start()
        assert entered.wait(20)
    assert torch.get_default_dtype() == torch.float32  # the other one still needs it
    leave.set()
    thread.join()
    assert found == [torch.float32] and torch.get_default_dtype() == torch.float64
