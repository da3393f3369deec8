import functools

import pytest

import recsk
from tests.storage.forging import read_parts
from tests.storage.models import MODELS, fitted


@pytest.fixture(params=MODELS)
def model(request):
    return fitted(request.param)


@pytest.fixture(params=["MDE", "MDSRec"])
def model_of_each_class(request):
    return fitted(request.param)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.recsk"


@functools.cache
def _saved(name, folder):
    path = folder / name
    recsk.save(fitted(name), path)
    return path.read_bytes()


@pytest.fixture
def saved(tmp_path_factory):
    """A function from the name of a model to a new copy of the parts of its file."""
    folder = tmp_path_factory.getbasetemp()
    return lambda name: read_parts(_saved(name, folder))
