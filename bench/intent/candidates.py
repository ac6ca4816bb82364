"""What is compared: the intent service, and other servers of the same model in more than one configuration each."""

import sys
from pathlib import Path

from bench.intent.environments import environment
from bench.intent.servers import Server

__all__ = ["FASTAPI", "LITSERVE_OURS", "LITSERVE_TORCH", "ZHIYIN", "peers", "zhiyin"]

ZHIYIN = "Zhiyin"
LITSERVE_TORCH = "LitServe, PyTorch"
LITSERVE_OURS = "LitServe, our engine"
FASTAPI = "FastAPI 2 × 1, PyTorch"

LITSERVE_PACKAGES = ("litserve==0.2.19",)
FASTAPI_PACKAGES = ("fastapi", "uvicorn[standard]")


def zhiyin() -> Server:
    """The service as in production: tokens verified, metrics counted. Like the peers it writes no line per request,
    and it does not remember answers.
    """
    return Server(
        ZHIYIN,
        ZHIYIN,
        (sys.executable, "-m", "shared.http", "intent"),
        environment={"ZHIYIN_CACHE_TEXTS": "0", "ZHIYIN_LOG_LEVEL": "warning"},
        path="/v1/understand",
        extra={"assistant": "shop"},
    )


def peers(folder: Path, precision: str, *, quick: bool) -> list[Server]:
    """The others; their environments are made below `folder`.

    Args:
        precision: what our engine computes in.
        quick: one configuration of each.
    """
    litserve = environment(folder, "litserve", LITSERVE_PACKAGES)
    fastapi = environment(folder, "fastapi", FASTAPI_PACKAGES)
    found = [
        _litserve(litserve, "torch", "bf16", workers=2, threads=1, batch=32, milliseconds=5),
        _litserve(litserve, "openvino", precision, workers=2, threads=1, batch=32, milliseconds=5),
        _fastapi(fastapi, "bf16"),
    ]
    if not quick:
        found += [
            _litserve(litserve, "torch", "f32", workers=2, threads=1, batch=32, milliseconds=5),
            _litserve(litserve, "torch", "bf16", workers=2, threads=1, batch=16, milliseconds=10),
            _litserve(litserve, "torch", "bf16", workers=1, threads=2, batch=32, milliseconds=10),
            _litserve(litserve, "openvino", precision, workers=2, threads=1, batch=16, milliseconds=10),
            _litserve(litserve, "openvino", precision, workers=2, threads=1, batch=32, milliseconds=1),
            _fastapi(fastapi, "f32"),
        ]
    return found


def _litserve(
    python: Path, engine: str, precision: str, *, workers: int, threads: int, batch: int, milliseconds: int
) -> Server:
    return Server(
        f"LitServe, {'PyTorch' if engine == 'torch' else 'our engine'} {precision}, "
        f"{workers} × {threads}, {batch} in {milliseconds} ms",
        LITSERVE_TORCH if engine == "torch" else LITSERVE_OURS,
        (str(python), "-m", "bench.intent.peers.litserve_server"),
        environment={
            "BENCH_ENGINE": engine,
            "BENCH_PRECISION": precision,
            "BENCH_WORKERS": str(workers),
            "BENCH_THREADS": str(threads),
            "BENCH_BATCH": str(batch),
            "BENCH_BATCH_SECONDS": str(milliseconds / 1000),
        },
    )


def _fastapi(python: Path, precision: str) -> Server:
    return Server(
        f"FastAPI, PyTorch {precision}, 2 × 1",
        FASTAPI,
        (str(python), "-m", "bench.intent.peers.fastapi_server"),
        environment={
            "BENCH_ENGINE": "torch",
            "BENCH_PRECISION": precision,
            "BENCH_WORKERS": "2",
            "BENCH_THREADS": "1",
        },
    )
