"""FastAPI and PyTorch without batching: what one writes first. Several workers share the port."""

import os

import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel

from bench.intent.peers.assistant import Assistant

__all__ = ["app"]


class Question(BaseModel):
    """One text."""

    text: str


app = FastAPI()
assistant = Assistant() if "BENCH_WORKER" in os.environ else None


@app.post("/predict")
def predict(question: Question) -> Response:
    """What the text means."""
    assert assistant is not None
    return Response(assistant.answer([question.text])[0], media_type="application/json")


if __name__ == "__main__":
    # Only the workers need the model, and they are started with this environment.
    os.environ["BENCH_WORKER"] = "1"
    uvicorn.run(
        "bench.intent.peers.fastapi_server:app",
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        workers=int(os.environ["BENCH_WORKERS"]),
        access_log=False,
        log_level="warning",
        timeout_worker_healthcheck=60,
    )
