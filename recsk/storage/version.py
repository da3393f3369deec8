"""The version of recsk, which its files record."""

__version__ = "0.1.0"
