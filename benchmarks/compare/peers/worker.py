"""What a peer written in Python is to the comparison: a process that answers lines (compare/worker_process.h).

    worker.serve(arguments, make_trainer, {"torch": torch.__version__})

A trainer has reset(), run(steps), which returns when all is computed, and weights(): float32, the parameters of its
models one by one. make_trainer raises Unsupported when it cannot train the workload.
"""

import argparse
import json
import os
import sys
import time
from typing import NoReturn


class Unsupported(Exception):
    """Says why a workload is not trained."""


def parse_arguments(description: str, **flags: str) -> argparse.Namespace:
    """The arguments that every peer is started with; `flags` are switches of its own, with their help."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--workload", required=True, help="folder of the workload")
    parser.add_argument("--first", type=int, required=True, help="first model")
    parser.add_argument("--last", type=int, required=True, help="end of the models")
    parser.add_argument("--threads", type=int, required=True, help="CPUs to use")
    parser.add_argument("--process", type=int, required=True, help="number of this process among those of the peer")
    parser.add_argument("--stacks", choices=["grouped", "padded"], default="grouped",
                        help="how models of different widths are stacked: those of one width, or all at the largest")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="what it trains on")
    parser.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="fp32",
                        help="of products: all else is fp32, as weights are")
    for name, text in flags.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    return parser.parse_args()


def serve_refusal(reason: str) -> NoReturn:
    """Of a peer that lacks what it is made of."""
    def refuse():
        raise Unsupported(reason)

    serve(refuse, {})
    sys.exit()


def serve(make_trainer, versions: dict[str, str]) -> None:
    # Whatever a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(line: str) -> None:
        answers.write(line + "\n")
        answers.flush()

    answer("hello")
    trainer = None
    for line in sys.stdin:
        command, *words = line.split()
        if command == "make":
            try:
                trainer = make_trainer()
            except Unsupported as reason:
                answer(f"unsupported {reason}")
                return
            trainer.reset()
            trainer.run(1)
            answer("ready " + json.dumps(versions))
        elif command == "reset":
            trainer.reset()
            answer("ok")
        elif command == "run":
            steps, at = int(words[0]), float(words[1])
            while time.monotonic() < at:
                pass
            start = time.monotonic()
            trainer.run(steps)
            answer(f"ran {start:.9f} {time.monotonic():.9f}")
        elif command == "weights":
            trainer.weights().tofile(words[0])
            answer("ok")
        else:
            return  # quit
