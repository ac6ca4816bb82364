"""The library and the precision that compute a model fastest on this machine: measured once, and remembered.

What was found lies beside the versions of a model. It counts for every version with the same encoder on the same kind
of processor with the same libraries; the precision counts for its own version only, because weights decide about it.
"""

import gc
import hashlib
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.nlu.engines.allocator import give_back_early
from shared.nlu.engines.autotune import Question, Trial, TrialFailed, hold
from shared.nlu.engines.backends import PACKAGES, Backend, cuda_is_here, libraries
from shared.nlu.engines.runtime import Library, Precision, Runtime, Tokens, available_cores
from shared.nlu.manifest import INT8, ModelRejected, NetworkSource

__all__ = ["REMEMBERED", "fastest", "open_runtime"]

log = structlog.get_logger(__name__)

REMEMBERED = ".inference.json"
WORTHWHILE = 1.1
"""The first library is left for another one only when that is faster by more than chance."""
CPU_LINES = ("model name", "flags", "CPU part", "Features")


class _Choice(BaseModel):
    model_config = ConfigDict(frozen=True)

    key: str
    digest: str
    library: Library
    precision: Precision
    texts_per_second: Mapping[str, float]


def open_runtime(
    source: NetworkSource,
    backend: Backend,
    *,
    precision: Precision,
    streams: int | None,
    padding_id: int,
    probes: Tokens,
) -> Runtime:
    """A model folder, compiled and warm, in the hands of the library that was asked for.

    `auto` is PyTorch where there is a CUDA device and the folder holds weights for it, else the fastest one installed.

    Raises:
        ModelRejected: the folder holds no model that can be served.
    """

    def question(library: Library, wanted: Precision) -> Question:
        return Question(
            folder=source.folder,
            library=library,
            precision=wanted,
            streams=streams,
            padding_id=padding_id,
            probes=tuple(map(tuple, probes)),
        )

    give_back_early()
    runtime = None
    if backend == "torch" or (backend != "auto" and precision != "auto"):
        runtime = question(backend, precision).open(source)
    elif backend == "auto" and cuda_is_here():
        try:
            runtime = question("torch", precision).open(source)
        except ModelRejected as error:
            log.warning("gpu_left_unused", reason=str(error))
    if runtime is None:
        candidates = libraries(source) if backend == "auto" else (backend,)
        runtime = _on_cpu(source, candidates, precision, streams, question)
    runtime.warm()
    return runtime


def _on_cpu(
    source: NetworkSource,
    candidates: Sequence[Library],
    precision: Precision,
    streams: int | None,
    question: Callable[[Library, Precision], Question],
) -> Runtime:
    path = source.folder.parent / REMEMBERED
    key = _key(source, candidates, precision, streams)
    known = _read(path, key)
    if known is not None:
        same = known.digest == source.digest
        runtime = question(known.library, known.precision if same else precision).open(source)
        speeds = known.texts_per_second
        if same:
            log.info(
                "backend_remembered", backend=runtime.backend, precision=runtime.precision, texts_per_second=speeds
            )
            return runtime
    else:
        runtime, speeds = fastest(
            candidates,
            open_here=lambda library, wanted: question(library, wanted).open(source),
            precision=precision,
            hold_trial=lambda library: hold(question(library, precision)),
        )
    speeds = {**speeds, **{f"{runtime.backend} {name}": round(speed, 1) for name, speed in runtime.measured.items()}}
    log.info("backend_chosen", backend=runtime.backend, precision=runtime.precision, texts_per_second=speeds)
    _write(
        path,
        _Choice(
            key=key,
            digest=source.digest,
            library=runtime.backend,
            precision=runtime.precision,
            texts_per_second=speeds,
        ),
    )
    return runtime


def fastest(
    candidates: Sequence[Library],
    *,
    open_here: Callable[[Library, Precision], Runtime],
    precision: Precision,
    hold_trial: Callable[[Library], Trial],
) -> tuple[Runtime, dict[str, float]]:
    """The fastest of some libraries, opened, and the texts a second of those that were tried.

    All but the first are tried elsewhere, before the first takes memory; what cannot be tried is left out.

    Raises:
        ModelRejected: none of them can serve the model.
    """
    trials: dict[Library, Trial] = {}
    for library in candidates[1:]:
        try:
            trials[library] = hold_trial(library)
        except TrialFailed as error:
            log.warning("backend_left_out", backend=library, reason=str(error))
    speeds = {f"{name} {trial.precision}": round(trial.texts_per_second, 1) for name, trial in trials.items()}
    order = sorted(trials, key=lambda name: -trials[name].texts_per_second)
    try:
        runtime = open_here(candidates[0], precision)
    except ModelRejected as error:
        if not order:
            raise
        log.warning("backend_left_out", backend=candidates[0], reason=str(error))
        return open_here(order[0], trials[order[0]].precision), speeds
    if order:
        ours = runtime.measure()
        speeds[f"{runtime.backend} {runtime.precision}"] = round(ours, 1)
        if trials[order[0]].texts_per_second > ours * WORTHWHILE:
            del runtime
            gc.collect()
            runtime = open_here(order[0], trials[order[0]].precision)
    return runtime, speeds


def _key(source: NetworkSource, candidates: Sequence[Library], precision: Precision, streams: int | None) -> str:
    subject = [
        source.manifest.encoder.model_dump(include={"name", "layers", "vocabulary"}),
        INT8 in source.manifest.files,
        {name: _version(PACKAGES[name][0]) for name in candidates},
        precision,
        streams or available_cores(),
        _processor(),
    ]
    return hashlib.sha256(json.dumps(subject, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """What kind of processor this is and what it can do, as far as the system says."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return platform.processor()
    return "\n".join([platform.machine(), *(line for line in first.splitlines() if line.startswith(CPU_LINES))])


def _read(path: Path, key: str) -> _Choice | None:
    try:
        choice = _Choice.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return choice if choice.key == key else None


def _write(path: Path, choice: _Choice) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        fresh.write_text(choice.model_dump_json(), encoding="utf-8")
        os.replace(fresh, path)
    except OSError as error:
        # A folder that cannot be written to, as in an image: the next start measures again.
        log.debug("choice_not_remembered", reason=error.strerror)
