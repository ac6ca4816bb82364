"""LitServe with its dynamic batching, configured from the environment."""

import os
from typing import Any

import litserve  # type: ignore[import-not-found]
from starlette.responses import Response

from bench.intent.peers.assistant import Assistant

__all__ = ["AssistantApi"]


class AssistantApi(litserve.LitAPI):  # type: ignore[misc]
    """One text a request; LitServe gathers the batches."""

    def setup(self, device: Any) -> None:
        self._assistant = Assistant()

    def decode_request(self, request: dict[str, str]) -> str:
        return request["text"]

    def predict(self, texts: list[str]) -> list[str]:
        return self._assistant.answer(texts)

    def encode_response(self, output: str) -> Response:
        return Response(output, media_type="application/json")


if __name__ == "__main__":
    api = AssistantApi(
        max_batch_size=int(os.environ["BENCH_BATCH"]), batch_timeout=float(os.environ["BENCH_BATCH_SECONDS"])
    )
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(os.environ["BENCH_WORKERS"]), timeout=60)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        generate_client_file=False,
        log_level="warning",
        num_api_servers=1,
        access_log=False,
    )
