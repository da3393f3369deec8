"""Files of fitted recommenders that are safe to load: no pickle, and every value is checked."""

from recsk.storage.files import load, save

__all__ = ["load", "save"]
