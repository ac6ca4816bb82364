"""The raw speed of the engine that the service uses: one process, a stream for each core, no server around it.

Run as `python -m bench.intent.engine FOLDER TEXTS SECONDS BACKEND PRECISION`; writes one line of JSON. Sentences are
made tokens before the clock starts, sorted by length and cut into batches; of some sizes of batch the fastest counts.
"""

import argparse
import itertools
import json
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from shared.nlu.engines.choice import open_runtime
from shared.nlu.engines.runtime import Runtime, available_cores
from shared.nlu.manifest import read_source
from shared.nlu.text_network import PROBES
from shared.nlu.tokenizer import load_tokenizer

__all__ = ["main"]

BATCHES = (16, 32, 64)
LONE_SHARE = 0.25

Tokens = Sequence[Sequence[int]]


def lone(runtime: Runtime, texts: Tokens, seconds: float) -> list[float]:
    """Milliseconds of each forward pass over one text, one after the other."""
    found = []
    until = time.perf_counter() + seconds
    for text in itertools.cycle(texts):
        began = time.perf_counter()
        if began > until:
            break
        runtime.infer([text])
        found.append((time.perf_counter() - began) * 1000)
    return found


def throughput(runtime: Runtime, texts: Tokens, size: int, seconds: float) -> tuple[float, float]:
    """Texts a second with a thread for each stream, and milliseconds of processor time that each took."""
    batches = [texts[start : start + size] for start in range(0, len(texts), size)]
    turn, lock, done = itertools.cycle(batches), threading.Lock(), [0] * runtime.streams
    for batch in batches:
        runtime.infer(batch)
    used = time.process_time()
    began = time.perf_counter()

    def work(stream: int) -> None:
        while time.perf_counter() - began < seconds:
            with lock:
                batch = next(turn)
            runtime.infer(batch)
            done[stream] += len(batch)

    threads = [threading.Thread(target=work, args=(stream,)) for stream in range(runtime.streams)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    used = time.process_time() - used
    return sum(done) / (time.perf_counter() - began), used / sum(done) * 1000


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("seconds", type=float)
    parser.add_argument("backend")
    parser.add_argument("precision")
    given = parser.parse_args()
    source = read_source(given.folder)
    tokenizer = load_tokenizer(source)
    runtime = open_runtime(
        source,
        given.backend,
        precision=given.precision,
        streams=available_cores(),
        padding_id=tokenizer.padding_id,
        probes=[each.ids for each in tokenizer.encode(PROBES)],
    )
    tokens = [each.ids for each in tokenizer.encode(given.texts.read_text(encoding="utf-8").splitlines())]
    each_seconds = given.seconds * (1 - LONE_SHARE) / len(BATCHES)
    one_by_one = lone(runtime, tokens, given.seconds * LONE_SHARE)
    found = {size: throughput(runtime, sorted(tokens, key=len), size, each_seconds) for size in BATCHES}
    best = max(found, key=lambda size: found[size][0])
    document = {
        "per_second": found[best][0],
        "cpu": found[best][1],
        "batch": best,
        "lone_p50": statistics.median(one_by_one),
        "streams": runtime.streams,
        "tokens": statistics.mean(map(len, tokens)),
    }
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
