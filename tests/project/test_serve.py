"""examples/serve.py, started for real on the loopback and asked from several threads."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import recsk
from recsk import MDERecommender
from recsk.datasets import make_multimodal

pytest.importorskip("fastapi", reason="needs fastapi: pip install 'recsk[serve]'")
pytest.importorskip("uvicorn", reason="needs uvicorn: pip install 'recsk[serve]'")
pytest.importorskip("safetensors", reason="needs safetensors: pip install 'recsk[serve]'")

SERVE = Path(__file__).resolve().parents[2] / "examples" / "serve.py"
DATA = make_multimodal(40, 30, random_state=0)
LABELLED = DATA.interactions.with_labels([f"u{i}" for i in range(40)], [f"i{i}" for i in range(30)])


def fitted(seed, X=LABELLED):
    model = MDERecommender(n_factors=8, max_epochs=2, random_state=seed)
    return model.fit(X, item_features=DATA.item_features)


def post(port, path, body, connection=None):
    used = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    text = body if isinstance(body, str) else json.dumps(body)
    used.request("POST", path, text, {"Content-Type": "application/json"})
    answer = used.getresponse()
    found = answer.status, json.loads(answer.read())
    if connection is None:
        used.close()
    return found


class Service:
    """A process that serves a file."""

    def __init__(self, path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = open(path.with_suffix(".log"), "w+")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, SERVE, path, str(self.port)]
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=self.log, env=environment, cwd=path.parent
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise AssertionError(f"the service did not start: {self.read_log()}")

    def read_log(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def ask(self, **question):
        return post(self.port, "/recommend", question)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.recsk"


@pytest.fixture
def start(path):
    services = []

    def started(model):
        recsk.save(model, path)
        services.append(Service(path))
        return services[-1]

    yield started
    for service in services:
        service.stop()
        service.log.close()


def expected(model, k=10, **who):
    items, scores = model.recommend(k=k, **who)
    return items[0].tolist(), scores[0]


def test_known_users_histories_and_wrong_questions(start):
    model = fitted(0)
    service = start(model)
    for question, who in (
        ({"user": "u3"}, {"user_ids": ["u3"]}),
        ({"history": ["i3", "i1"], "k": 4}, {"user_items": [["i3", "i1"]], "k": 4}),
        ({"k": 3}, {"user_items": [[]], "k": 3}),
    ):
        status, answer = service.ask(**question)
        items, scores = expected(model, **who)
        assert status == 200 and answer["items"] == items
        np.testing.assert_allclose(answer["scores"], scores, rtol=1e-5)
    assert len(service.ask(user="u3", k=100)[1]["items"]) < 30  # no padding
    for question, code, word in (
        ({"user": "nobody"}, 404, "nobody"),
        ({"history": ["nothing"]}, 404, "nothing"),
        ({"k": 0}, 422, "k"),
        ({"k": 10**9}, 422, "k"),
    ):
        status, answer = service.ask(**question)
        assert status == code and word in json.dumps(answer)
    assert post(service.port, "/recommend", "{")[0] == 422
    assert post(service.port, "/items", {"features": {"smell": [[1.0]]}, "labels": ["a"]})[0] == 422


def test_ids_are_ids(start):
    model = fitted(0, DATA.interactions)
    service = start(model)
    assert service.ask(user=3)[1]["items"] == expected(model, user_ids=[3])[0]
    assert service.ask(history=[3, 1])[1]["items"] == expected(model, user_items=[[3, 1]])[0]
    assert service.ask(user=99)[0] == 404


def test_no_request_is_lost_while_items_come_and_the_model_is_exchanged(start, path):
    old, new = fitted(0), fitted(1)
    service = start(old)
    answers, failures, stop = [], [], threading.Event()

    def hammer(number):
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        questions = [{"user": f"u{number}"}, {"history": ["i3", f"i{number}"]}]
        try:
            while not stop.is_set():
                for question in questions:
                    status, answer = post(service.port, "/recommend", question, connection)
                    answers.append((status, len(answer.get("items", ()))))
        except Exception as error:
            failures.append(error)
        connection.close()

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    try:
        features = {name: np.nan_to_num(x[:2]).tolist() for name, x in DATA.item_features.items()}
        for batch in range(3):
            labels = [f"new {batch} {i}" for i in range(2)]
            status, answer = post(service.port, "/items", {"features": features, "labels": labels})
            assert status == 200 and answer["items"] == labels
        status, answer = service.ask(history=["new 0 1", "i2"], k=100)
        assert status == 200 and {"new 1 0", "new 2 1"} <= set(answer["items"])
        assert post(service.port, "/items", {"features": features, "labels": labels})[0] == 422

        n_before = len(answers)
        recsk.save(new, path)
        wanted = expected(new, user_ids=["u7"])[0]
        deadline = time.monotonic() + 60
        while service.ask(user="u7")[1]["items"] != wanted and time.monotonic() < deadline:
            time.sleep(0.1)
        assert service.ask(user="u7")[1]["items"] == wanted
        assert service.ask(history=["new 0 1"])[0] == 404  # the new file does not have it

        path.write_bytes(b"half of a fi")  # no model: the one before stays
        time.sleep(2.5)
        assert service.ask(user="u7")[1]["items"] == wanted
        assert "the old model stays" in service.read_log()
        recsk.save(old, path)
        wanted = expected(old, user_ids=["u7"])[0]
        deadline = time.monotonic() + 60
        while service.ask(user="u7")[1]["items"] != wanted and time.monotonic() < deadline:
            time.sleep(0.1)
        assert service.ask(user="u7")[1]["items"] == wanted
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert len(answers) > n_before > 0
    assert set(answers) == {(200, 10)}
