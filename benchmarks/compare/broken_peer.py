"""A peer that is wrong in the way that its flag says, for compare_test.py."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))

import torch  # noqa: E402: after the folder of its modules

import torch_trainer  # noqa: E402
import torch_vmap  # noqa: E402
import worker  # noqa: E402
from workload import Workload  # noqa: E402


class Untrained(torch_trainer.TorchTrainer):
    def run(self, steps: int) -> None:
        pass


class Garbled(torch_trainer.TorchTrainer):
    def weights(self):
        return super().weights()[:-1]


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
        if arguments.wrong_rate and arguments.last == len(workload.json["models"]):
            workload.stacks[0].rates[-1] *= 1.005
        if arguments.wrong_beta:
            torch_trainer.BETAS = (0.9, 0.99)
        if arguments.no_dropout:
            for stack in workload.stacks:
                for operator in stack.operators:
                    if operator["kind"] == "dropout":
                        operator["attributes"]["p"] = 0
        kind = (Untrained if arguments.untrained else Garbled if arguments.garbled else torch_trainer.TorchTrainer)
        trainer = kind(workload, lambda stack: torch_vmap.make_gradients(stack, False), torch_trainer.FusedAdam)
        if arguments.crashes:
            run = trainer.run
            trainer.run = lambda steps: run(steps) if steps == 1 else sys.exit("it has crashed")
        return trainer

    torch.set_num_threads(1)
    worker.serve(make_trainer, torch_trainer.versions())


if __name__ == "__main__":
    main()
