"""The long run: `python -m tests.fuzz --inputs 1000000`.

Coverage of `sojourn` guides it (atheris, `pip install sojourn[fuzz]`), and most inputs are documents that mutate.py
changed in their structure. `--blind` works without atheris: no guidance, each input made afresh of a valid document.
Inputs that show something wrong are kept in `--keep`. Exit code 1 if there are any.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path
from random import Random
from typing import Any


def main() -> None:
    options = _options()
    random = Random(options.seed)
    if options.blind:
        run_blind(options, random)
    else:
        run_guided(options)


def run_blind(options: argparse.Namespace, random: Random) -> None:
    from tests.fuzz import corpus, mutate, oracle

    mutator = mutate.Mutator(corpus.seeds(), corpus.names())
    oracle.look_up_classes_once()
    watch = oracle.Oracle(options.keep)
    began = time.monotonic()
    while watch.inputs < options.inputs:
        watch.check(mutator.fresh(random))
        _tell(watch, began)
    _end(watch, began)


def run_guided(options: argparse.Namespace) -> None:
    atheris: Any = importlib.import_module("atheris")
    # Nothing of sojourn may be imported before, or its coverage is not seen.
    with atheris.instrument_imports(include=["sojourn"]):
        from tests.fuzz import corpus, mutate, oracle
    documents = corpus.seeds()
    mutator = mutate.Mutator(documents, corpus.names())
    oracle.look_up_classes_once()
    watch = oracle.Oracle(options.keep)
    began = time.monotonic()
    waiting = list(documents)

    def mutated(data: bytes, max_size: int, seed: int) -> bytes:
        # libFuzzer begins with nothing; what it finds interesting afterwards comes back here.
        start = waiting.pop() if waiting else data
        random = Random(seed)
        # Now and then from a valid document again: what was changed often enough is refused at the first look.
        made = mutator.fresh(random) if random.random() < 0.6 else mutator.changed(start, random)
        return made[:max_size]

    def check(data: bytes) -> None:
        watch.check(data)
        _tell(watch, began)
        if watch.inputs >= options.inputs:
            _end(watch, began)

    arguments = [
        sys.argv[0],
        f"-seed={options.seed}",
        "-max_len=400000",
        "-len_control=0",
        "-timeout=1200",  # by the clock, and a busy machine may stand still; the oracle measures CPU time
        "-report_slow_units=600",
        f"-rss_limit_mb={2 * oracle.MEGABYTES}",  # the limit proper is held at the end, where it is told
        "-print_final_stats=0",
        "-verbosity=0",
    ]
    atheris.Setup(arguments, check, custom_mutator=mutated)
    atheris.Fuzz()


def _tell(watch: Any, began: float) -> None:
    if watch.inputs % 50_000 == 0:
        sys.stdout.write(f"-- after {time.monotonic() - began:,.0f} s\n{watch.report()}\n")
        sys.stdout.flush()


def _end(watch: Any, began: float) -> None:
    told = "passed" if watch.passed else "FAILED"
    sys.stdout.write(f"{watch.report()}\ntime: {time.monotonic() - began:,.0f} s\n{told}\n")
    sys.stdout.flush()
    os._exit(0 if watch.passed else 1)  # libFuzzer would take any other end for a crash


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--blind", action="store_true", help="without atheris")
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"), help="where inputs that show something are kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
