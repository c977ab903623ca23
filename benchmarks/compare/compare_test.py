"""`compare` holds every peer that needs no JAX to the same run, refuses one that is wrong, and writes what it says.

Nothing is asserted about a time but that it was taken. The first argument names the part.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

PART = sys.argv[1]
COMPARE, LAUNCHER, BROKEN = (os.path.abspath(path) for path in sys.argv[2:5])
# One interpreter a peer: each imports torch.
ONE_CPU = ["--cpus=1", "--check_only"]
QUICK = ["--rounds=2", "--neighbour_rounds=1", "--machine_rounds=1", "--sample_seconds=0.001", "--patience=0",
         "--retries=0"]


def compare(output: str, *flags: str) -> subprocess.CompletedProcess:
    return subprocess.run([COMPARE, f"--output={output}", *flags], capture_output=True, text=True,
                          env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": tempfile.mkdtemp()})


def results(output: str) -> dict:
    (path,) = pathlib.Path(output).glob("*.json")
    return json.loads(path.read_text())


def agrees(contender: dict, found: dict) -> bool:
    differ, within = contender["weights_differ_by"], found["agreement_within"]
    return (differ["after_one_step"]["median"] <= within["median"] and differ["steps_of_run"] > 1 and
            all(differ["after_run"][k] <= within[k] for k in ("median", "norm")))


def check_a_whole_comparison() -> None:
    """Every peer, its samples, limits, tables and plot."""
    with tempfile.TemporaryDirectory() as output:
        run = compare(output, "--workload=mlp_small", "--models=1,3", "--peers=libtorch,libtorch-fused,torch-vmap",
                      *QUICK)
        assert run.returncode == 0, run.stderr
        found = results(output)
        assert [cell["models"] for cell in found["cells"]] == [1, 3]
        for cell in found["cells"]:
            peers = {contender["peer"] for contender in cell["contenders"]}
            assert peers == {"modelbatch-cpu", "libtorch", "libtorch-fused", "torch-vmap"}, peers
            arranged = {contender["arrangement"] for contender in cell["contenders"] if contender["peer"] == "torch-vmap"}
            assert len(arranged) == (2 if found["machine"]["cpus"] > 1 else 1), arranged
            for contender in cell["contenders"]:
                assert agrees(contender, found), contender
                assert len(contender["ms_per_step"]) == 2, contender
                assert len(contender["neighbour"]["ms_per_step"]) == 1, contender
                median = statistics.median(contender["ms_per_step"])
                assert abs(contender["median_ms_per_step"] / median - 1) < 1e-9
                assert abs(contender["models_per_second"] / (cell["models"] / median * 1e3) - 1) < 1e-9
            for limit in cell["limits"]:
                assert limit["level"] in ("L1", "L2", "L3", "memory")
                update = 24 * cell["parameters"] / limit["update"]["per_second"] * 1e3
                assert abs(limit["update_ms"] / update - 1) < 1e-9
                if "fma" in limit:
                    products = cell["flop_per_step"] / limit["fma"]["per_second"] * 1e3
                    assert abs(limit["products_ms"] / products - 1) < 1e-9
                    assert abs(limit["sum_ms"] / (products + update) - 1) < 1e-9
                    assert limit["max_ms"] == max(limit["products_ms"], limit["update_ms"])
        whats = {limit["what"] for limit in found["machine_limits"] if "per_second" in limit}
        assert {"sgemm of OpenBLAS, FLOP/s", "sgemm of LibTorch, FLOP/s", "copy, bytes/s",
                "update in place, bytes/s"} <= whats, found["machine_limits"]
        assert found["machine"]["cpu"] and found["versions"]["libtorch"].startswith("2.")
        (table,) = pathlib.Path(output).glob("*.md")
        assert "| torch-vmap |" in table.read_text() and "N = 3" in table.read_text()
        (plot,) = pathlib.Path(output).glob("*-mlp_small.svg")
        text = "".join(xml.etree.ElementTree.parse(plot).getroot().itertext())
        assert "torch-vmap" in text and "modelbatch-cpu" in text and "64-128-10" in text

        again = compare(output, "--workload=mlp_small", "--models=1", "--peers=modelbatch-cpu", "--check_only")
        assert again.returncode == 0, again.stderr
        assert len(list(pathlib.Path(output).glob("*.json"))) == 2, "results were overwritten"


def check_agreement(peers: str, workloads: str, models: int) -> None:
    with tempfile.TemporaryDirectory() as output:
        run = compare(output, f"--workload={workloads}", f"--models={models}", f"--peers={peers}", *ONE_CPU)
        assert run.returncode == 0, run.stderr
        found = results(output)
        assert [cell["workload"] for cell in found["cells"]] == workloads.split(",")
        for cell in found["cells"]:
            assert {contender["peer"] for contender in cell["contenders"]} == {"modelbatch-cpu", *peers.split(",")}
            for contender in cell["contenders"]:
                assert agrees(contender, found), contender


def check_refused(flag: str, expected: str, workload: str = "mlp_small") -> None:
    with tempfile.TemporaryDirectory() as output:
        run = compare(output, f"--workload={workload}", "--models=2", "--peers=modelbatch-cpu", *ONE_CPU,
                      f"--peer_command=broken={LAUNCHER} {BROKEN} --{flag}")
        assert run.returncode == 1, (flag, run.returncode, run.stdout)
        assert "broken" in run.stderr and expected in run.stderr, (flag, run.stderr)


def check_left_out() -> None:
    with tempfile.TemporaryDirectory() as output:
        run = compare(output, "--workload=mlp_small", "--models=1", "--peers=modelbatch-cpu", *ONE_CPU,
                      f"--peer_command=picky={LAUNCHER} {BROKEN} --picky")
        assert run.returncode == 0, run.stderr
        reasons = [contender.get("not_run") for contender in results(output)["cells"][0]["contenders"]]
        assert "it is picky" in reasons, reasons


def check_absent() -> None:
    """This program is built without JAX, and says so."""
    with tempfile.TemporaryDirectory() as output:
        run = compare(output, "--workload=mlp_small", "--models=1", "--peers=jax", "--check_only")
        assert run.returncode == 0, run.stderr
        (jax,) = results(output)["cells"][0]["contenders"][1:]
        assert jax["peer"] == "jax" and "without jax/run.sh" in jax["not_run"], jax


def check_one_after_another() -> None:
    """What is compared with on a GPU, on the CPU: CUDA graphs say that they are none of its."""
    loop = pathlib.Path(BROKEN).parent / "peers/torch_loop.py"
    with tempfile.TemporaryDirectory() as output:
        run = compare(output, "--workload=mlp_ragged,ragged_rows", "--models=2", "--peers=modelbatch-cpu",
                      "--check_only", f"--peer_command=loop={LAUNCHER} {loop},graph={LAUNCHER} {loop} --graph")
        assert run.returncode == 0, run.stderr
        found = results(output)
        for cell in found["cells"]:
            ran = [contender["peer"] for contender in cell["contenders"] if "not_run" not in contender]
            assert "loop" in ran and "graph" not in ran, ran
            for contender in cell["contenders"]:
                assert "not_run" in contender or agrees(contender, found), contender


def check_another_device() -> None:
    """Those that need a CUDA device say so where there is none; none of the CPU's peers takes part."""
    if pathlib.Path("/dev/nvidia0").exists():
        return
    with tempfile.TemporaryDirectory() as output:
        run = compare(output, "--device=cuda", "--backend=cpu", "--workload=mlp_small", "--models=2", *QUICK)
        assert run.returncode == 0, run.stderr
        found = results(output)
        assert found["options"]["device"] == "cuda" and found["machine_limits"] == []
        (cell,) = found["cells"]
        assert cell["limits"] == []
        parts = dict(cell["scheduled_bytes"])
        assert parts.pop("total") == sum(parts.values()), parts
        assert parts["update"] == 28 * cell["parameters"], parts
        reasons = {contender["peer"]: contender.get("not_run", "") for contender in cell["contenders"]}
        assert reasons.pop("modelbatch-cpu") == ""
        assert set(reasons) == {"torch-loop", "torch-graph", "torch-vmap", "torch-compile", "torch-compile-graph",
                                "torch-baddbmm", "jax", "jax-scan"}, reasons
        for peer, reason in reasons.items():
            assert reason == "torch sees no CUDA device" or peer.startswith("jax"), (peer, reason)


def check_precision() -> None:
    """All in one precision, held to bounds of its own, with our kernels on an emulator; who lacks it says so."""
    loop = pathlib.Path(BROKEN).parent / "peers/torch_loop.py"
    emulated = f"--backend={os.path.abspath(sys.argv[5])}"
    with tempfile.TemporaryDirectory() as output:
        run = compare(output, emulated, "--precision=bf16", "--workload=mlp_small,mlp_norm", "--models=2",
                      "--peers=libtorch,torch-vmap,torch-baddbmm", *ONE_CPU, f"--peer_command=loop={LAUNCHER} {loop}")
        assert run.returncode == 0, run.stderr
        found = results(output)
        assert found["options"]["precision"] == "bf16" and found["agreement_within"]["median"] > 1e-2
        for cell in found["cells"]:
            assert cell["precision"] == "bf16"
            ours, libtorch, *others = cell["contenders"]
            assert libtorch["not_run"] == "it trains in fp32 alone", libtorch
            assert [contender["peer"] for contender in others] == ["torch-vmap", "torch-baddbmm", "loop"], others
            for contender in others:
                assert agrees(contender, found), contender
                # What would be the same bits as ours has not been cast to bf16.
                assert contender["weights_differ_by"]["after_run"]["median"] > 2e-4, contender
    with tempfile.TemporaryDirectory() as output:
        run = compare(output, emulated, "--compile", "--precision=tf32", "--workload=mlp_small", "--models=1", "--peers=torch-vmap",
                      *ONE_CPU)
        assert run.returncode == 0, run.stderr
        assert results(output)["cells"][0]["contenders"][1]["not_run"] == "tf32 is of CUDA devices"
    with tempfile.TemporaryDirectory() as output:
        run = compare(output, emulated, "--precision=bf16", "--workload=mlp_small", "--models=2", "--peers=libtorch",
                      *ONE_CPU, f"--peer_command=broken={LAUNCHER} {BROKEN} --wrong_rate")
        assert run.returncode == 1 and "broken" in run.stderr and "does not train what" in run.stderr, run.stderr
    with tempfile.TemporaryDirectory() as output:
        run = compare(output, "--precision=bf16", "--workload=mlp_small", "--models=1", "--peers=torch-vmap", *ONE_CPU)
        assert run.returncode == 1 and 'lacks precision "bf16"' in run.stderr, run.stderr


def check_bad_flags() -> None:
    for flags, expected in [(["--peers=nobody"], "there are: modelbatch-cpu, libtorch"),
                            (["--workload=nothing"], "there are: mlp_small"),
                            (["--models=0"], 'has "0"'),
                            (["--device=tpu"], "expected cpu or cuda"),
                            (["--precision=fp16"], "expected fp32, tf32 or bf16"),
                            (["--device=cuda", "--workload=mlp_small", "--models=1"], "cuda"),
                            (["--rounds=0"], "at least 1"),
                            (["--cpus=-1"], "must not be negative"),
                            (["--peer_command=x"], "NAME=COMMAND"),
                            (["stray"], "is no flag"),
                            (["--backend=absent", "--workload=mlp_small", "--models=1", "--peers=libtorch"], "absent")]:
        with tempfile.TemporaryDirectory() as output:
            run = compare(output, *flags)
            assert run.returncode in (1, 2) and expected in run.stderr, (flags, run.returncode, run.stderr)


def main() -> None:
    if PART == "whole":
        check_bad_flags()
        check_a_whole_comparison()
    elif PART == "agreement":
        check_agreement("libtorch,torch-vmap,torch-baddbmm", "mlp_ragged,ragged_rows,mlp_norm", 3)
        check_one_after_another()
        check_another_device()
    elif PART == "compile":
        check_agreement("torch-compile", "mlp_small", 1)
    elif PART == "precision":
        check_precision()
    else:
        check_left_out()
        check_absent()
        check_refused("wrong_rate", "does not train what modelbatch-cpu")
        check_refused("wrong_beta", "after 5 steps the weights of half of the models")
        check_refused("untrained", "from its initial values")
        check_refused("garbled", "weights of another number")
        check_refused("crashes", "it has crashed")
        check_refused("no_dropout", "drops nothing", "mlp_norm")


if __name__ == "__main__":
    main()
