"""Serve recommendations over HTTP: ``python examples/serve.py model.recsk``.

``recsk.save`` writes the file. It needs ``python -m pip install "recsk[serve]"``.

- ``POST /recommend {"user": "anna"}`` answers for a user of the fit, and
  ``{"history": ["tea", "cup"]}`` for anybody else.
- ``POST /items {"features": {"text": [[0.1, 0.7]]}, "labels": ["new tea"]}`` adds items.
- Save a new model over the file: it is loaded beside the old one, which answers until then. A file
  that cannot be read changes nothing. Items that were added since belong into the new file.
"""

import logging
import os
import sys
import threading
from typing import Annotated

import uvicorn
from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse

import recsk

app, adding = FastAPI(), threading.Lock()
Label = str | int
Number = Annotated[int, Body(ge=1, le=1000)]


@app.post("/recommend")
def recommend(user: Label | None = Body(None), history: list[Label] = Body([]), k: Number = 10):
    who = {"user_items": [history]} if user is None else {"user_ids": [user]}
    items, scores = app.state.model.recommend(k=k, **who)
    given = scores[0] > -float("inf")  # the rest is padding
    return {"items": items[0][given].tolist(), "scores": scores[0][given].tolist()}


@app.post("/items")
def add(features: dict[str, list[list[float]]] = Body(), labels: list[Label] | None = Body(None)):
    with adding:
        return {"items": app.state.model.add_items(features, labels).tolist()}


@app.exception_handler(LookupError)  # an unknown user or item
@app.exception_handler(ValueError)
@app.exception_handler(TypeError)
def explain(request, error):
    return JSONResponse({"detail": str(error)}, 404 if isinstance(error, LookupError) else 422)


def watch(path, version, seconds=1):
    while not threading.Event().wait(seconds):
        try:
            if (found := os.stat(path).st_mtime_ns) != version:
                app.state.model, version = recsk.load(path), found
        except (OSError, ValueError) as error:
            logging.getLogger("uvicorn.error").error("the old model stays: %s", error)


if __name__ == "__main__":
    path, port = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8000
    version = os.stat(path).st_mtime_ns
    app.state.model = recsk.load(path)
    threading.Thread(target=watch, args=(path, version), daemon=True).start()
    uvicorn.run(app, port=port)
