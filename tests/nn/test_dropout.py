import os
import threading
import time

import pytest
import torch

from recsk.nn.dropout import seeded_dropout
from recsk.nn.state import default_state

CPU = torch.device("cpu")


def test_the_global_random_state_is_restored():
    before = torch.get_rng_state()
    with seeded_dropout(3, CPU):
        first = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded_dropout(3, CPU):
        assert torch.equal(torch.rand(4), first)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_during_a_fit_in_another_thread_does_not_wait_for_it():
    entered, leave = threading.Event(), threading.Event()
    torch.set_default_dtype(torch.float64)

    def fit():
        with default_state(grad=True), seeded_dropout(0, CPU):
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=fit)
    thread.start()
    try:
        assert entered.wait(20)
        child = os.fork()
        if not child:
            restored = torch.get_default_dtype() == torch.float64
            with default_state(grad=True), seeded_dropout(0, CPU):
                os._exit(0 if restored else 1)
        deadline = time.monotonic() + 10
        while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
            time.sleep(0.01)
        if not ended[0]:
            os.kill(child, 9)
            os.waitpid(child, 0)
        assert ended == (child, 0)
    finally:
        leave.set()
        thread.join()
        torch.set_default_dtype(torch.float32)
