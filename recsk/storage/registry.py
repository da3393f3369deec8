"""The estimator classes that files may contain."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, TypeVar

__all__ = ["estimator_class", "estimator_names", "register_estimator"]

_Class = TypeVar("_Class", bound=type)
# The only way from a name in a file to a class: `load` imports nothing that a file names, but what
# an installed package has declared.
_GROUP = "recsk.estimators"
_classes: dict[str, Any] = {}


def register_estimator(cls: _Class) -> _Class:
    """Register an estimator class for `save` and `load`, as a class decorator.

    A package that is installed may list its classes as entry points of the group
    ``recsk.estimators`` instead; `load` then finds them without an import of the package.

    Raises
    ------
    ValueError
        If another class has the same name.

    Examples
    --------
    >>> from recsk.storage.registry import estimator_class
    >>> estimator_class("MDERecommender").__name__
    'MDERecommender'
    """
    other = _classes.get(cls.__name__)
    # The same class again is one that a notebook or a reload has defined anew.
    if other is not None and (other.__module__, other.__qualname__) != (
        cls.__module__,
        cls.__qualname__,
    ):
        raise ValueError(
            f"{cls.__module__}.{cls.__qualname__} cannot be registered: files know estimators by "
            f"name, and {other.__module__} has a {cls.__name__} too"
        )
    _classes[cls.__name__] = cls
    return cls


def estimator_class(name: str) -> Any:
    """Return the class that is registered under a name or declared by an entry point, or None."""
    if name not in _classes:
        for entry in entry_points(group=_GROUP, name=name):
            cls = entry.load()
            if isinstance(cls, type) and cls.__name__ == name:
                _classes.setdefault(name, cls)
    return _classes.get(name)


def estimator_names() -> str:
    """Return the registered names as text for error messages, such as "A, B or C"."""
    return " or ".join(", ".join(_classes).rsplit(", ", 1))
