"""The estimator classes that files may contain."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["estimator_class", "estimator_names", "register_estimator"]

_Class = TypeVar("_Class", bound=type)
# The only way from a name in a file to a class: `load` never imports what a file names.
_classes: dict[str, Any] = {}


def register_estimator(cls: _Class) -> _Class:
    """Register an estimator class for `save` and `load`, as a class decorator.

    Examples
    --------
    >>> from recsk.storage.registry import estimator_class
    >>> estimator_class("MDERecommender").__name__
    'MDERecommender'
    """
    _classes[cls.__name__] = cls
    return cls


def estimator_class(name: str) -> Any:
    """Return the class that is registered under a name, or None."""
    return _classes.get(name)


def estimator_names() -> str:
    """Return the registered names as text for error messages, such as "A or B"."""
    return " or ".join(_classes)
