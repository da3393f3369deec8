"""Both networks on a pretended CUDA device: everything is where it should be."""

import numpy as np
import pytest
import torch

from recsk import MDERecommender, MDSRecRecommender
from recsk.contract.device import resolve_device
from tests.contract.suite import FEATURES, N_ITEMS, N_USERS, TEST, TRAIN

SMALL = {"n_factors": 4, "max_epochs": 2, "random_state": 0}
MDE = {**SMALL, "user_neighbors": 5, "item_neighbors": 3}
MDSREC = {**SMALL, "n_heads": 2, "n_interests": 3, "n_neighbors": 3}
MDE_SETTINGS = [
    {},
    {"loss": "bpr"},
    {"training": "paper"},
    {"training": "paper", "loss": "softmax", "alpha": 0.1, "beta": 0.1},
    {"tradeoff": "independent", "alpha": 0.1, "beta": 0.1, "modality_weight": 1.0},
    {"preference": [1, 2], "fusion": "sum", "similarity": "dot"},
    {"precision": "bfloat16"},
]
MDSREC_SETTINGS = [
    {},
    {"n_negatives": 3},
    {"n_interests": 0, "fusion": "mean"},
    {"relation": None, "candidate_vectors": "id", "similarity": "dot"},
    {"shared_ids": False, "candidate_vectors": "mean", "item_bias": True},
    {"precision": "bfloat16"},
]


def name(params):
    return "-".join(f"{key}={value}" for key, value in params.items()) or "defaults"


def fit(estimator, **params):
    return estimator.set_params(**params).fit(TRAIN, item_features=FEATURES, eval_set=TEST)


@pytest.mark.parametrize("params", MDE_SETTINGS, ids=name)
def test_mde_is_the_same_on_both(params, cuda):
    models = [fit(MDERecommender(**MDE, device=d), **params) for d in ("cpu", "cuda")]
    assert cuda.n_operations
    for attribute in ("item_embedding_", "user_embedding_", "user_preference_"):
        np.testing.assert_array_equal(*(getattr(model, attribute) for model in models))
    assert models[0].validation_curve_ == models[1].validation_curve_


@pytest.mark.parametrize("params", MDSREC_SETTINGS, ids=name)
def test_mdsrec_without_dropout_is_the_same_up_to_rounding(params, cuda):
    models = [
        fit(MDSRecRecommender(**MDSREC, device=d), dropout=0.0, fusion="softmax", **params)
        if "fusion" not in params
        else fit(MDSRecRecommender(**MDSREC, device=d), dropout=0.0, **params)
        for d in ("cpu", "cuda")
    ]
    atol = 1e-4 if "precision" not in params else 2e-2  # the kernels of attention are others
    for attribute in ("item_embedding_", "user_embedding_", "user_preference_"):
        np.testing.assert_allclose(*(getattr(m, attribute) for m in models), atol=atol)


@pytest.mark.parametrize(
    "make, settings", [(MDERecommender, MDE_SETTINGS), (MDSRecRecommender, MDSREC_SETTINGS)]
)
def test_waits_do_not_grow_with_the_steps(make, settings, cuda):
    small = MDE if make is MDERecommender else MDSREC
    for params in settings:
        found = []
        for batch_size in (16, 64):
            cuda.waits.clear()
            fit(make(**small, device="cuda", batch_size=batch_size), max_epochs=1, **params)
            found.append(sorted(cuda.waits))
        more = [wait for wait in found[0] if found[0].count(wait) > found[1].count(wait)]
        assert not more, (params, more)


def test_histories_are_encoded_on_the_device(cuda, monkeypatch):
    from recsk.models.mdsrec import training  # or its import would see the patch too
    from recsk.nn import encoder

    assert training.encode_sequences is encoder.encode_sequences
    found, devices = encoder.encode_sequences, []

    def encode(network, tables, *histories):
        devices.append(tables.items.device)
        return found(network, tables, *histories)

    monkeypatch.setattr(encoder, "encode_sequences", encode)
    fit(MDSRecRecommender(**MDSREC, device="cuda"))
    assert devices == [torch.device("cuda:0")]


@pytest.mark.parametrize("warm", [False, True], ids=["partial_fit", "warm_start"])
@pytest.mark.parametrize("make, small", [(MDERecommender, MDE), (MDSRecRecommender, MDSREC)])
def test_training_goes_on_on_the_device(make, small, warm, cuda):
    models = []
    for device in ("cpu", "cuda"):
        model = make(**small, device=device, warm_start=warm)
        if make is MDSRecRecommender:
            model.set_params(dropout=0.0, fusion="softmax")
        model.fit(TRAIN[:-40], item_features=FEATURES)
        cuda.n_operations = 0
        if warm:
            model.fit(TRAIN, item_features=FEATURES)
        else:
            model.partial_fit(TRAIN[-40:])
        assert (cuda.n_operations > 0) == (device == "cuda")
        models.append(model)
    np.testing.assert_allclose(*(model.item_embedding_ for model in models), atol=1e-4)


ASKED = {
    "recommend": lambda model: model.recommend(k=N_ITEMS),
    "recommend_seen": lambda model: model.recommend([0, 3], exclude_seen=False),
    "recommend_one": lambda model: model.recommend(0),
    "items": lambda model: model.recommend(k=4, items=[1, 2, 3, 5, 8], filter_items=[2]),
    "a mask": lambda model: model.recommend(k=4, items=np.eye(N_USERS, N_ITEMS) == 0),
    "new_users": lambda model: model.recommend(user_items=[[1, 2, 3], [], [4]], k=5),
    "rank_items": lambda model: model.rank_items([0, 1], [5, 6, 7]),
    "similar_items": lambda model: model.similar_items(np.arange(N_ITEMS), k=6),
    "similar_users": lambda model: model.similar_users(np.arange(N_USERS), k=6),
    "recommend_users": lambda model: model.recommend_users(np.arange(N_ITEMS), k=6),
    "score": lambda model: (np.zeros(0), np.array(model.score(TEST))),
}


@pytest.mark.parametrize("make, small", [(MDERecommender, MDE), (MDSRecRecommender, MDSREC)])
def test_the_device_ranks(make, small, cuda):
    model = fit(make(**small, device="cpu"))
    for what, ask in ASKED.items():
        answers = []
        for device, active in (("cpu", False), ("cuda:1", True)):
            cuda.n_operations, n_before = 0, len(cuda.copies_to_cpu)
            answers.append(ask(model.set_params(device=device)))
            assert (cuda.n_operations > 0) == active, what
        of_vectors = [w for w in cuda.copies_to_cpu[n_before:] if "nn/" in w.where]
        assert not of_vectors, what
        np.testing.assert_array_equal(answers[0][0], answers[1][0], what)
        np.testing.assert_allclose(answers[0][1], answers[1][1], atol=1e-5, err_msg=what)


@pytest.mark.parametrize("make, small", [(MDERecommender, MDE), (MDSRecRecommender, MDSREC)])
def test_added_items_are_ranked_on_the_device(make, small, cuda):
    model = fit(make(**small, device="cuda"))
    new = model.add_items({name: values[:2] for name, values in FEATURES.items()})
    cuda.n_operations = 0
    on_cuda = model.recommend([0, 1], k=N_ITEMS + 2)
    assert cuda.n_operations and np.isin(new, on_cuda[0]).all()
    np.testing.assert_array_equal(
        on_cuda[0], model.set_params(device="cpu").recommend([0, 1], k=N_ITEMS + 2)[0]
    )


@pytest.mark.parametrize("make, small", [(MDERecommender, MDE), (MDSRecRecommender, MDSREC)])
def test_validation_ranks_on_the_device(make, small, cuda):
    """An epoch copies lists and a sample to the CPU, and no vectors of all users or items."""
    found = []
    for max_epochs in (2, 3):
        cuda.copies_to_cpu.clear()
        fit(make(**small, device="cuda"), max_epochs=max_epochs)
        found.append({w.where.partition(":")[0] for w in cuda.copies_to_cpu})
        n_steps = sum("steps.py" in w.where.partition(":")[0] for w in cuda.copies_to_cpu)
        found.append(n_steps)
    assert "ranking/on_device.py" in found[0] and found[1] == found[3]


def test_a_model_of_a_device_serves_without_it(monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recsk.contract.training.ranking_device", lambda device: "cpu")
        model = fit(MDERecommender(**MDE, device="cpu"))
        expected = model.recommend(k=5)
    for device in ("cuda", "cuda:3"):
        ids, scores = model.set_params(device=device).recommend(k=5)
        np.testing.assert_array_equal(ids, expected[0])
        np.testing.assert_allclose(scores, expected[1], atol=1e-5)


@pytest.mark.parametrize("make, small", [(MDERecommender, MDE), (MDSRecRecommender, MDSREC)])
def test_a_fit_in_bfloat16_is_one_on_the_device(make, small, cuda):
    exact, model = (fit(make(**small, device="cuda", precision=p)) for p in ("float32", "bfloat16"))
    assert not np.array_equal(model.item_embedding_, exact.item_embedding_)
    for term, curve in exact.loss_curve_.items():
        np.testing.assert_allclose(model.loss_curve_[term], curve, rtol=2e-2)


@pytest.mark.parametrize("make, small", [(MDERecommender, MDE), (MDSRecRecommender, MDSREC)])
def test_a_device_without_bfloat16_is_refused(make, small, cuda, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    model = make(**small, device="cuda:1", precision="bfloat16")
    with pytest.raises(ValueError, match="precision='bfloat16' needs a GPU .*'cuda:1' does not"):
        fit(model)
    fit(model, precision="float32")
    fit(model, precision="bfloat16", device="cpu")


def test_a_device_without_a_number_is_the_current_one(cuda):
    assert resolve_device("cuda") == torch.device("cuda:0")
    with torch.cuda.device(1):
        assert resolve_device("cuda") == resolve_device("auto") == torch.device("cuda:1")


def test_a_fit_goes_on_where_the_current_device_is_another(cuda, tmp_path):
    """Dropout draws from the generator of the device that trains, which the checkpoint keeps."""
    params = {**MDSREC, "device": "cuda", "max_epochs": 4, "dropout": 0.5}
    with torch.cuda.device(1):
        whole = fit(MDSRecRecommender(**params))
        stopped, path = MDSRecRecommender(**params), tmp_path / "fit"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("recsk.contract.validation.Validation.__call__", _interrupt_after(2))
            with pytest.raises(SystemExit):
                stopped.fit(TRAIN, item_features=FEATURES, eval_set=TEST, checkpoint=path)
        again = stopped.fit(TRAIN, item_features=FEATURES, eval_set=TEST, checkpoint=path)
    assert again.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(again.item_embedding_, whole.item_embedding_)


def _interrupt_after(n_epochs):
    from recsk.contract.validation import Validation

    measure, n_done = Validation.__call__, [0]

    def measure_or_stop(self, *args):
        n_done[0] += 1
        if n_done[0] > n_epochs:
            raise SystemExit
        return measure(self, *args)

    return measure_or_stop
