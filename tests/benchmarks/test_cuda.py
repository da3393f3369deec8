"""The script that confirms on a GPU what is tested without one, made small."""

import json

import numpy as np
import pytest
import torch

from recsk.nn.sampling import InteractionSampler


@pytest.fixture
def cuda_script(script):
    return script("cuda")


def test_a_report_and_its_page(cuda_script, tmp_path, capsys):
    path = tmp_path / "report.json"
    words = ["--device", "cpu", "--small", "--parts", "recommend", "--json", str(path)]
    assert cuda_script.main(words) == 0
    report = json.loads(path.read_text())
    found = report["recommend"]
    assert found["users"] == 2000 and found["overlap_with_the_cpu"] == 1 and found["ok"]
    page = path.with_suffix(".md").read_text()
    assert page == cuda_script.page(report)
    assert "Top 20 of 500 items for 2,000 users" in page
    assert "Not measured: agreement, waits, epochs, tests." in page


def test_a_part_that_fails_is_reported(cuda_script, tmp_path, monkeypatch, capsys):
    def fail(self, seconds):
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(cuda_script.Confirmation, "epochs", fail)
    path = tmp_path / "report.json"
    words = ["--device", "cpu", "--small", "--parts", "epochs", "recommend", "--json", str(path)]
    assert cuda_script.main(words) == 1
    report = json.loads(path.read_text())
    assert "the device is gone" in report["epochs"]["error"] and report["recommend"]["ok"]
    assert "Not as promised: epochs." in path.with_suffix(".md").read_text()


def test_without_a_device_it_says_so(cuda_script, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cuda_script.main([]) == 2
    assert "no CUDA device" in capsys.readouterr().out


def test_without_time_parts_are_left_out(cuda_script, tmp_path, capsys):
    path = tmp_path / "report.json"
    words = ["--device", "cpu", "--small", "--minutes", "0.3", "--json", str(path)]
    assert cuda_script.main(words) == 1
    assert "no time left" in capsys.readouterr().out and not path.exists()


def test_batches_are_the_same_on_each_device(cuda_script, cuda):
    def batches(device, n_shared):
        user, item = torch.arange(40).reshape(2, 20).to(device)
        sampler = InteractionSampler(
            user,
            item - 20,
            n_items=30,
            batch_size=8,
            n_shared=n_shared,
            generator=torch.Generator(device),
        )
        with cuda_script.batches_of_the_cpu():
            return [part.tolist() for batch in sampler for part in batch[:3]]

    for n_shared in (None, 5):
        assert batches("cpu", n_shared) == batches("cuda", n_shared)


def test_differences(cuda_script):
    assert cuda_script.overlap(np.array([[1, 2], [3, 4]]), np.array([[2, 1], [3, 5]])) == 0.75
    curves = {"a": [2.0, 1.0], "b": [0.0]}, {"a": [2.0, 1.1], "b": [0.0]}
    assert cuda_script.largest_difference(*curves) == pytest.approx(0.1)


def test_progress_of_pytest_is_counted(cuda_script, monkeypatch):
    """The tests run in a process of their own; here it only prints."""
    text = "..s.F   [ 50%]\n.x      [100%]\nFAILED tests/a.py::b - no\n1 failed, 4 passed\n"
    real = cuda_script.subprocess.Popen

    def echo(command, **options):
        assert "--pretend-cuda=none" in command
        return real([cuda_script.sys.executable, "-c", f"print({text!r})"], **options)

    monkeypatch.setattr(cuda_script.subprocess, "Popen", echo)
    found = cuda_script.Confirmation("cpu", small=True).tests(60)
    assert (found["passed"], found["failed"], found["skipped"]) == (4, 1, 1)
    assert found["failures"] == ["tests/a.py::b"] and not found["ok"]
