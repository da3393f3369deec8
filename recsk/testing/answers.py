"""Checks of what `recommend`, `rank_items`, `similar_items` and `similar_users` answer."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import SkipTest

import numpy as np

from recsk.testing.data import HISTORIES, N_ITEMS, N_USERS, Problem, has
from recsk.testing.expect import expect, expect_close, expect_equal, expect_same
from recsk.testing.labels import unwrap

__all__ = ["ask_everything", "expect_best_allowed", "expect_same_model"]

Ranked = tuple[np.ndarray, np.ndarray]
_N_CALLS = 300


def ask_everything(model: Any) -> dict[str, Ranked]:
    """Return something of everything that a model can be asked, by the text of the call."""
    everybody = np.arange(model.n_users_)
    answers = {
        "recommend(k=5)": model.recommend(k=5),
        f"recommend(user_items={HISTORIES}, k=5)": model.recommend(user_items=HISTORIES, k=5),
        "rank_items(everybody, [0, 2, 4])": model.rank_items(everybody, [0, 2, 4]),
        "recommend_users([0], k=4)": model.recommend_users([0], k=4),
    }
    for method in ("similar_items", "similar_users"):
        if has(model, method):
            answers[f"{method}([0, 1], k=3)"] = getattr(model, method)([0, 1], k=3)
    return answers


def expect_same_model(got: Any, expected: Any, what: str) -> None:
    """Expect that two models answer the same, up to rounding of the scores."""
    answers, wanted = ask_everything(got), ask_everything(expected)
    expect(answers.keys() == wanted.keys(), f"{what}: got {[*answers]}, expected {[*wanted]}")
    for call, answer in answers.items():
        expect_same(answer, wanted[call], f"{what}: {call}")


def check_recommend_gives_the_best_items_allowed(estimator: Any, problem: Problem) -> None:
    """`recommend` ranks the items that are allowed, best first, and pads the rest."""
    model = problem.fitted(estimator)
    rng = np.random.default_rng(0)
    for _ in range(_N_CALLS):
        users = rng.integers(N_USERS, size=rng.integers(5)).tolist()
        k = int(rng.integers(1, N_ITEMS + 6))
        options = {
            "exclude_seen": bool(rng.integers(2)),
            "items": _some_items(rng),
            "filter_items": _some_items(rng),
        }
        expect_best_allowed(model, problem, users, k, options)


def expect_best_allowed(
    model: Any, problem: Problem, users: list[int], k: int, options: dict[str, Any]
) -> None:
    """Expect of one call of `recommend` the best items of those that the options allow."""
    asked = f"recommend({users}, {k}, {_text(options)})"
    answer = model.recommend(users, k, **options)
    expect(
        isinstance(answer, tuple) and len(answer) == 2,
        f"{asked} must return a tuple of items and scores; got {type(answer).__name__}",
    )
    ids, scores = answer
    _expect_types(ids, scores, (len(users), k), asked)
    for row, user in enumerate(users):
        allowed = _allowed(problem, user, **options)
        _expect_best(model, user, ids[row], scores[row], allowed, f"{asked}, row {row}")


def _allowed(
    problem: Problem, user: int, exclude_seen: bool, items: Any, filter_items: Any
) -> np.ndarray:
    allowed = np.isin(np.arange(N_ITEMS), np.arange(N_ITEMS) if items is None else items)
    allowed[filter_items or []] = False
    return allowed & ~problem.seen[user] if exclude_seen else allowed


def _expect_best(
    model: Any, user: int, ids: np.ndarray, scores: np.ndarray, allowed: np.ndarray, asked: str
) -> None:
    n = min(len(ids), allowed.sum())
    got, rest = ids[:n], ids[n:]
    expect(
        (rest == -1).all() and np.isneginf(scores[n:]).all(),
        f"{asked}: {allowed.sum()} items are allowed, so that the list must end in {len(rest)} "
        f"times -1 with the score -inf; got {rest.tolist()} with {scores[n:].tolist()}",
    )
    expect(
        ((got >= 0) & (got < N_ITEMS)).all(),
        f"{asked}: items must be ids from 0 to {N_ITEMS - 1}; got {got.tolist()}",
    )
    wrong = got[~allowed[got]].tolist()
    expect(
        not wrong,
        f"{asked}: items {wrong} are not allowed (seen with exclude_seen=True, in filter_items, "
        f"or not in items); got {got.tolist()}",
    )
    expect(len({*got.tolist()}) == n, f"{asked}: an item comes twice in {got.tolist()}")

    ranked, reference = model.rank_items(user, np.arange(N_ITEMS))
    own = dict(zip(ranked.tolist(), reference.tolist(), strict=True))
    told = [own.get(item) for item in got.tolist()]
    expect_close(scores[:n], np.array(told, float), f"{asked}: scores beside those of rank_items")
    best = reference[allowed[ranked]][:n]
    expect_close(scores[:n], best, f"{asked}: scores beside the best {n} of the allowed items")


def check_rank_items(estimator: Any, problem: Problem) -> None:
    """`rank_items` ranks just the given items, seen or not, each once."""
    model = problem.fitted(estimator)
    asked = "rank_items([3, 0], [8, 2, 8, 5])"
    ids, scores = model.rank_items([3, 0], [8, 2, 8, 5])
    _expect_types(ids, scores, (2, 3), asked)
    expect_equal(np.sort(ids), [[2, 5, 8], [2, 5, 8]], f"{asked}: the sorted items of a row")
    expect((np.diff(scores) <= 0).all(), f"{asked}: scores must not rise; got {scores.tolist()}")
    expected = model.recommend([3, 0], 3, items=[8, 2, 5], exclude_seen=False)
    expect_same((ids, scores), expected, f"{asked} beside recommend of these items")


def check_similar_items(estimator: Any, problem: Problem) -> None:
    """`similar_items` ranks all other items, by the cosine of their vectors if there are any."""
    _check_similar("similar_items", N_ITEMS, problem.fitted(estimator))


def check_similar_users(estimator: Any, problem: Problem) -> None:
    """`similar_users` ranks all other users by the cosine of their vectors."""
    _check_similar("similar_users", N_USERS, problem.fitted(estimator))


def _check_similar(method: str, n: int, model: Any) -> None:
    if not has(model, method):
        raise SkipTest(f"the model has no {method}")
    ids, scores = getattr(model, method)(np.arange(n), k=n + 2)
    asked = f"{method}(range({n}), k={n + 2})"
    _expect_types(ids, scores, (n, n + 2), asked)
    padding, rest = ids[:, n - 1 :], scores[:, n - 1 :]
    expect(
        (padding == -1).all() and np.isneginf(rest).all(),
        f"{asked} has {n - 1} answers a row (the one that was asked is left out) and must pad the "
        f"rest with -1 and -inf; got {padding[0].tolist()} with {rest[0].tolist()}",
    )
    everything = np.sort(np.c_[ids[:, : n - 1], np.arange(n)])
    expect_equal(everything, np.tile(np.arange(n), (n, 1)), f"{asked}: a row and its own number")
    scores = scores[:, : n - 1]
    expect((np.diff(scores) <= 0).all(), f"{asked}: scores must not rise along a row")
    if has(model, "item_embedding_"):
        largest = np.abs(scores).max()
        expect(largest < 1.01, f"{asked}: a cosine is between -1 and 1; got {largest}")


def check_a_batch_is_its_users_one_by_one(estimator: Any, problem: Problem) -> None:
    """What comes for a user does not depend on who else is asked about; a scalar gives 1-D."""
    model = problem.fitted(estimator)
    for text, ask, queries in _questions(model):
        ids, scores = ask(list(queries))
        for row, query in enumerate(queries):
            asked = f"{text.format([query])} beside its row of the batch {text.format(queries)}"
            expect_same(ask([query]), (ids[[row]], scores[[row]]), asked)
            if isinstance(query, int):
                expect_same(ask(query), (ids[row], scores[row]), text.format(query))


def _questions(model: Any) -> Iterator[tuple[str, Callable[[Any], Ranked], Any]]:
    yield "recommend({})", model.recommend, range(N_USERS)
    rank_items = functools.partial(model.rank_items, items=[1, 5, 9])
    yield "rank_items({}, [1, 5, 9])", rank_items, range(N_USERS)
    yield "recommend_users({})", model.recommend_users, range(N_ITEMS)
    for method, n in (("similar_items", N_ITEMS), ("similar_users", N_USERS)):
        if has(model, method):
            yield f"{method}({{}})", getattr(model, method), range(n)
    yield "recommend(user_items={})", lambda h: model.recommend(user_items=h), HISTORIES


def check_users_in_any_order(estimator: Any, problem: Problem) -> None:
    """Users may come in any order and repeat."""
    model = problem.fitted(estimator)
    ids, scores = model.recommend()
    expect_equal(ids.shape, (N_USERS, 10), "the shape of recommend()")
    users = np.random.default_rng(0).integers(N_USERS, size=50)
    asked = f"recommend({users.tolist()}) beside these rows of recommend()"
    expect_same(model.recommend(users), (ids[users], scores[users]), asked)


def check_the_same_question_has_the_same_answer(estimator: Any, problem: Problem) -> None:
    """To ask changes nothing: not the answers, ties included, the fitted model or arguments."""
    model = problem.fit(problem.new(estimator))
    before = ask_everything(model)
    state = pickle.dumps(unwrap(model).get_params())
    for call, answer in ask_everything(model).items():
        for part, got, expected in zip(("items", "scores"), answer, before[call], strict=True):
            expect_equal(got, expected, f"{part} of {call}, asked a second time")
    expect(pickle.dumps(unwrap(model).get_params()) == state, "to ask changed the parameters")
    arguments = {
        "user_ids": np.array([4, 0, 9]),
        "items": np.array([6, 3, 20, 7]),
        "filter_items": np.array([3]),
    }
    for array in arguments.values():
        array.flags.writeable = False
    once = pickle.dumps(arguments)
    model.recommend(**arguments)
    histories = [list(history) for history in HISTORIES]
    model.recommend(user_items=histories)
    expect(
        pickle.dumps(arguments) == once and histories == HISTORIES,
        "recommend changed one of its arguments",
    )


def check_ties_are_in_the_order_of_the_items(estimator: Any, problem: Problem) -> None:
    """Items of equal scores come in the order of their ids."""
    model = problem.fitted(estimator)
    for asked, (ids, scores) in {
        f"recommend(k={N_ITEMS}, exclude_seen=False)": model.recommend(
            k=N_ITEMS, exclude_seen=False
        ),
        f"recommend(user_items={HISTORIES}, k={N_ITEMS})": model.recommend(
            user_items=HISTORIES, k=N_ITEMS
        ),
    }.items():
        tied = (scores[:, 1:] == scores[:, :-1]) & (ids[:, 1:] >= 0)
        for row, column in np.argwhere(tied & (ids[:, 1:] < ids[:, :-1])):
            first, second = ids[row, column : column + 2].tolist()
            raise AssertionError(
                f"{asked}, row {row}: items {first} and {second} have the same score "
                f"{scores[row, column]}, and must come in the order of their ids"
            )


def check_ids_of_every_integer_type(estimator: Any, problem: Problem) -> None:
    """Ids may be a list, a tuple, or an array of any integer type."""
    model = problem.fitted(estimator)
    users, items = [4, 0, 9], [6, 3, 20, 7]
    forms: dict[str, Callable[[Any], Any]] = {
        "list": list,
        "tuple": tuple,
        "int64": np.array,
        "int32": lambda x: np.array(x, np.int32),
        "uint8": lambda x: np.array(x, np.uint8),
    }
    for name, form in forms.items():
        expect_same(
            model.recommend(form(users), items=form(items), filter_items=form([3])),
            model.recommend(users, items=items, filter_items=[3]),
            f"recommend({users}, items={items}, filter_items=[3]) with ids as {name}",
        )
        asked = f"rank_items({users}, {items}) with ids as {name}"
        expect_same(
            model.rank_items(form(users), form(items)), model.rank_items(users, items), asked
        )
        if has(model, "similar_items"):
            asked = f"similar_items({items}) with ids as {name}"
            expect_same(model.similar_items(form(items)), model.similar_items(items), asked)
        scalar = np.asarray(form(users))[0]
        expect_same(model.recommend(scalar), model.recommend(4), f"recommend of a {name} scalar")


def check_recommend_as_a_frame(estimator: Any, problem: Problem) -> None:
    """`as_frame=True` gives user, item, rank and score of every answer, without padding."""
    try:
        import pandas  # noqa: F401, the frame is of pandas
    except ImportError as error:
        raise SkipTest("pandas is not installed") from error
    model = problem.fitted(estimator)
    raw, users = unwrap(model), getattr(model, "users_", np.arange(N_USERS))
    asked = [users[user] for user in (4, 0)]
    frame = raw.recommend(asked, k=N_ITEMS + 1, as_frame=True)
    columns = ["user", "item", "rank", "score"]
    expect_equal(list(frame.columns), columns, "columns of recommend(as_frame=True)")
    ids, scores = raw.recommend(asked, k=N_ITEMS + 1)
    kept = scores > -np.inf
    rows = [asked[row] for row, n in enumerate(kept.sum(axis=1)) for _ in range(n)]
    ranks = np.concatenate([np.arange(1, n + 1) for n in kept.sum(axis=1)])
    for name, wanted in (("user", rows), ("item", ids[kept].tolist()), ("rank", ranks.tolist())):
        got = frame[name].tolist()
        text = f"column {name} of recommend({asked}, k={N_ITEMS + 1}, as_frame=True)"
        expect(got == list(wanted), f"{text}: got {got}, expected {list(wanted)}")
    expect_close(frame["score"], scores[kept], "column score of recommend(as_frame=True)")


def check_several_threads_may_ask(estimator: Any, problem: Problem) -> None:
    """Several threads may ask one model at once."""
    model = problem.fitted(estimator)

    def ask(_: int) -> tuple[Ranked, Ranked]:
        return model.recommend(k=3), model.recommend(user_items=problem.train, k=3)

    alone = ask(0)
    with ThreadPoolExecutor(4) as pool:
        for answers in pool.map(ask, range(8)):
            for answer, expected in zip(answers, alone, strict=True):
                for part in (0, 1):
                    text = "recommend in four threads beside recommend in one"
                    expect_equal(answer[part], expected[part], text)


def _expect_types(ids: Any, scores: Any, shape: tuple[int, ...], asked: str) -> None:
    for name, part, dtype in (("items", ids, np.int64), ("scores", scores, np.float32)):
        expect(
            isinstance(part, np.ndarray) and part.shape == shape and part.dtype == dtype,
            f"{asked}: {name} must be an array of {np.dtype(dtype)} of shape {shape}; got "
            f"{getattr(part, 'dtype', type(part).__name__)} of shape {np.shape(part)}",
        )


def _some_items(rng: np.random.Generator) -> list[int] | None:
    """Return items in any order, maybe none, some twice, or None."""
    if rng.random() < 0.3:
        return None
    return rng.integers(N_ITEMS, size=rng.integers(N_ITEMS + 1)).tolist()


def _text(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())
