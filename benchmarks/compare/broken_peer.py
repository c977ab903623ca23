"""A peer that is wrong in the way that its flag says, for compare_test.py.

Only those that train import torch, which takes seconds.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))

import worker  # noqa: E402: after the folder of its modules
from workload import Workload  # noqa: E402


class Idle:
    """Keeps the initial weights, without the last `missing`; leaves in its second run if it `crashes`."""

    def __init__(self, workload: Workload, missing: int = 0, crashes: bool = False):
        self.workload, self.missing, self.crashes = workload, missing, crashes
        self.runs = 0

    def reset(self) -> None:
        pass

    def run(self, steps: int) -> None:
        self.runs += 1
        if self.crashes and self.runs > 1:
            sys.exit("it has crashed")

    def weights(self):
        weights = self.workload.weights([stack.initial for stack in self.workload.stacks])
        return weights[:len(weights) - self.missing]


def make_training(workload: Workload, beta2: float):
    import torch

    import torch_trainer
    import torch_vmap

    torch.set_num_threads(1)
    torch_trainer.BETAS = (0.9, beta2)
    return torch_trainer.TorchTrainer(workload, lambda stack: torch_vmap.make_gradients(stack, False),
                                      torch_trainer.FusedAdam)


def main() -> None:
    arguments = worker.parse_arguments(
        __doc__, wrong_rate="the last model's learning rate is too large by half a percent",
        wrong_beta="all models have another beta2", untrained="does nothing",
        garbled="gives one weight less", crashes="ends in the middle of a run", picky="cannot train anything",
        no_dropout="drops nothing")

    def make_trainer():
        if arguments.picky:
            raise worker.Unsupported("it is picky")
        workload = Workload(arguments.workload, arguments.first, arguments.last, arguments.stacks)
        if arguments.untrained or arguments.garbled or arguments.crashes:
            return Idle(workload, missing=int(arguments.garbled), crashes=arguments.crashes)
        if arguments.wrong_rate and arguments.last == len(workload.json["models"]):
            workload.stacks[0].rates[-1] *= 1.005
        if arguments.no_dropout:
            for stack in workload.stacks:
                for operator in stack.operators:
                    if operator["kind"] == "dropout":
                        operator["attributes"]["p"] = 0
        return make_training(workload, beta2=0.99 if arguments.wrong_beta else 0.999)

    worker.serve(make_trainer, {"broken": "on purpose"})


if __name__ == "__main__":
    main()
