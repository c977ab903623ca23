"""torch.save's files are read by ModelBatch, and ModelBatch's by torch.load(weights_only=True), bit for bit.

copy_pytorch_state_dict reads what PyTorch wrote and writes it again, so that one round trip tries both.
"""

import collections
import io
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile
import zlib

import numpy
import torch


class PyTorchStateDictTest(unittest.TestCase):
    program: str

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.source = self.folder / "python.pt"
        self.copy = self.folder / "modelbatch.pt"

    def run_program(self, *args) -> subprocess.CompletedProcess:
        return subprocess.run([self.program, *args], capture_output=True, text=True)

    def check_copy(self, expected: dict[str, torch.Tensor], mmap: bool = True) -> dict[str, torch.Tensor]:
        """What self.source holds arrives in self.copy as `expected`."""
        result = self.run_program(self.source, self.copy)
        self.assertEqual(result.returncode, 0, result.stderr)
        for options in ({}, {"mmap": True})[:1 + mmap]:
            loaded = torch.load(self.copy, weights_only=True, **options)
            self.assertIs(type(loaded), collections.OrderedDict)
            self.assertEqual(list(loaded), list(expected))
            for name, tensor in expected.items():
                self.assertEqual(loaded[name].dtype, tensor.dtype, name)
                self.assertEqual(loaded[name].shape, tensor.shape, name)
                self.assertTrue(loaded[name].is_contiguous(), name)
                self.assertFalse(loaded[name].requires_grad, name)
                bits = [t.detach().contiguous().numpy().tobytes() for t in (loaded[name], tensor)]
                self.assertEqual(*bits, name)
        return loaded

    def check(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        torch.save(tensors, self.source)
        return self.check_copy(tensors)

    def check_refused(self, *words: str) -> None:
        result = self.run_program(self.source, self.copy)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertFalse(self.copy.exists())
        for word in ("python.pt", *words):
            self.assertIn(word, result.stderr)

    def test_state_dict(self):
        torch.manual_seed(1)

        def module():
            return torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU(),
                                       torch.nn.LayerNorm(5), torch.nn.Sequential(torch.nn.Linear(5, 3, bias=False)))
        trained = module()
        trained.train()(torch.randn(4, 7))  # running statistics and num_batches_tracked, an int64 scalar
        state = trained.state_dict()
        self.assertTrue(hasattr(state, "_metadata"))
        loaded = self.check(state)
        other = module()
        other.load_state_dict(loaded, strict=True)
        for name, value in other.state_dict().items():
            self.assertTrue(torch.equal(value, state[name]), name)
        x = torch.randn(2, 7)
        self.assertTrue(torch.equal(other.eval()(x), trained.eval()(x)))

    def test_dict_and_ordered_dict(self):
        tensors = {"z": torch.ones(2), "a": torch.zeros(3), "m": torch.arange(4)}
        self.check(tensors)
        self.check(collections.OrderedDict(tensors))
        self.check({})

    def test_every_dtype(self):
        random = numpy.random.default_rng(1)
        self.check({str(dtype): torch.from_numpy(random.integers(0, 256, 48, numpy.uint8)).view(dtype).reshape(2, -1)
                    for dtype in (torch.float32, torch.float64, torch.int32, torch.int64, torch.uint8)})

    def test_special_values(self):
        """NaNs keep their payload, zeros their sign, small numbers are not flushed."""
        bits = numpy.array([0x7FC00000, 0xFFC00001, 0x7F800001, 0x7F800000, 0xFF800000, 0x80000000, 1, 0x807FFFFF],
                           numpy.uint32)
        self.check({"bits": torch.from_numpy(bits.view(numpy.float32))})

    def test_shapes(self):
        self.check({"scalar": torch.tensor(3.5), "empty": torch.zeros(0), "no rows": torch.zeros(0, 4),
                    "no columns": torch.zeros(4, 0, dtype=torch.int64), "deep": torch.randn(1, 2, 3, 4, 1),
                    "long": torch.randn(70_000), "wide": torch.randn(300, 2)})

    def test_views(self):
        """Transposed, strided, expanded and shared: the elements arrive, each tensor with its own."""
        base = torch.arange(120, dtype=torch.float32).reshape(4, 5, 6)
        for dtype in (torch.float32, torch.float64, torch.uint8):
            typed = base.to(dtype)
            self.check({"base": typed, "row": typed[1], "offset": typed[2, 3, 4], "every second": typed[::2, 1::2, ::3],
                        "transposed": typed.transpose(0, 2), "permuted": typed.permute(1, 2, 0)[1:],
                        "t": typed[0].t(), "expanded": typed[:, :1].expand(4, 7, 6), "same": typed,
                        "channels last": torch.randn(2, 3, 4, 5).to(dtype).contiguous(memory_format=torch.channels_last),
                        "windows": typed.reshape(-1).unfold(0, 5, 2), "nothing": typed[4:],
                        "wide": typed.reshape(-1).as_strided((2, 2), (100, 1), 3)})

    def test_tied_weights(self):
        module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
        module[1].weight = module[0].weight
        self.check(module.state_dict())

    def test_parameters_and_gradients(self):
        self.check({"p": torch.nn.Parameter(torch.randn(3)), "frozen": torch.nn.Parameter(torch.randn(3), False),
                    "leaf": torch.randn(2, requires_grad=True)})

    def test_names(self):
        self.check({"0.weight": torch.ones(1), "Gewicht \"ä\" \\ \u4e2d\u6587\n\0\U0001f600": torch.zeros(1),
                    " ": torch.zeros(2), "": torch.ones(2), "x" * 300: torch.ones(1)})

    def test_many_tensors(self):
        """More than 256 memo entries: LONG_BINPUT. Slices of one storage."""
        self.check({f"layer.{i}": torch.full((2,), float(i)) for i in range(3_000)})
        shared = torch.randn(70_000)
        torch.save({str(i): shared[i] for i in range(0, 70_000, 70)}, self.source)
        self.check_copy({str(i): shared[i] for i in range(0, 70_000, 70)})

    def test_more_entries_than_a_plain_zip_has(self):
        """More than 65535: zip64."""
        tensors = {str(i): torch.full((), i) for i in range(66_000)}
        torch.save(tensors, self.source)
        self.check_copy(tensors, mmap=False)  # for time

    def test_file_name_and_buffer(self):
        """The archive's folder is named after the file, or "archive"."""
        tensors = {"w": torch.randn(3)}
        self.source = self.folder / "python.pt.tar.x"
        self.check(tensors)
        buffer = io.BytesIO()
        torch.save(tensors, buffer)
        self.source.write_bytes(buffer.getvalue())
        self.check_copy(tensors)

    def test_equal_input_gives_equal_bytes_aligned(self):
        self.check({"a": torch.ones(3), "b": torch.arange(5), "c": torch.ones(1, dtype=torch.uint8), "d": torch.ones(9)})
        first = self.copy.read_bytes()
        again = self.folder / "again.pt"
        self.assertEqual(self.run_program(self.copy, again).returncode, 0)
        self.assertEqual(again.read_bytes(), first)
        with zipfile.ZipFile(self.copy) as archive:
            self.assertIsNone(archive.testzip())
            names = [entry.filename for entry in archive.infolist()]
            self.assertEqual(names, ["archive/data.pkl", "archive/byteorder", "archive/data/0", "archive/data/1",
                                     "archive/data/2", "archive/data/3", "archive/version"])
            for entry in archive.infolist():
                self.assertEqual(entry.compress_type, zipfile.ZIP_STORED)
                header = first[entry.header_offset:entry.header_offset + 30]
                content = (entry.header_offset + 30 + int.from_bytes(header[26:28], "little")
                           + int.from_bytes(header[28:30], "little"))
                self.assertEqual(content % 64, 0, entry.filename)
                self.assertEqual(first[content:content + entry.file_size], archive.read(entry))

    def test_dtypes_that_we_lack_are_named(self):
        for dtype in (torch.float16, torch.bfloat16, torch.bool, torch.int8, torch.int16, torch.complex64, torch.uint16,
                      torch.uint32, torch.uint64, torch.float8_e4m3fn):
            torch.save({"fine": torch.ones(1), "this": torch.zeros(3).to(dtype)}, self.source)
            self.check_refused('"this"', str(dtype).removeprefix("torch.") + " is not supported")

    def test_what_is_no_dict_of_tensors(self):
        module = torch.nn.Linear(2, 2)
        for value, words in (
                ({"model": module.state_dict(), "epoch": 3}, ['"model" is a dict of 2', "torch.save the inner dict"]),
                ({"epoch": 3}, ['"epoch" is the integer 3']),
                ({"name": "x"}, ['"name" is a string']),
                ([torch.ones(1)], ["has a list of 1"]),
                (torch.ones(1), ["has torch._utils._rebuild_tensor_v2(...)"]),
                ({3: torch.ones(1)}, ["key that is the integer 3"]),
                (module, ["the global torch.nn.modules.linear.Linear is not allowed", "state_dict()"]),
                ({"sparse": torch.eye(2).to_sparse()}, ["torch._utils._rebuild_sparse_tensor is not allowed"]),
                ({"meta": torch.ones(2, device="meta")}, ["torch._utils._rebuild_meta_tensor_no_storage"]),
                ({"quantized": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}, ["_rebuild_qtensor"]),
                ({"negated": torch.view_as_complex(torch.ones(2, 2)).conj().imag}, ['"negated"', "lazy negation"]),
                ({"attributes": torch.nn.Buffer(torch.ones(2))}, ["torch._tensor._rebuild_from_type_v2"]),
                ({"set": {1}}, ["__builtin__.set"]),
                ({"array": numpy.ones(2)}, ["numpy"])):
            torch.save(value, self.source)
            self.check_refused(*words)

    def test_other_formats(self):
        tensors = {"w": torch.ones(2)}
        torch.save(tensors, self.source, _use_new_zipfile_serialization=False)
        self.check_refused("legacy format", "torch.save it again")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), self.source)
        self.check_refused("TorchScript archive", "torch.jit.load")
        torch.save(tensors, self.source, pickle_protocol=4)
        self.check_refused("protocol 4")
        numpy.savez(self.source.with_suffix(".npz"), w=numpy.ones(2))
        self.source.with_suffix(".npz").rename(self.source)
        self.check_refused("is a zip archive, but none of torch.save")
        with zipfile.ZipFile(self.source, "w"):
            pass
        self.check_refused("the archive is empty")

    def repack(self, change) -> None:
        """Writes self.source anew, each entry as change(name, content) says: a list of (name, content, method)."""
        with zipfile.ZipFile(self.source) as archive:
            entries = [(name, archive.read(name)) for name in archive.namelist()]
        with zipfile.ZipFile(self.source, "w") as archive:
            for name, content in entries:
                for new_name, new_content, method in change(name, content):
                    archive.writestr(new_name, new_content, method)

    def test_repacked_archives(self):
        tensors = {"w": torch.randn(1000)}

        def changed(change):
            torch.save(tensors, self.source)
            self.repack(change)
        stored = zipfile.ZIP_STORED
        changed(lambda name, content: [(name, content, stored)])
        self.check_copy(tensors)
        # Files of PyTorch before 2.1.
        changed(lambda name, content: [] if "byteorder" in name or "/." in name else [(name, content, stored)])
        self.check_copy(tensors)
        self.copy.unlink()
        changed(lambda name, content: [(name, content, zipfile.ZIP_DEFLATED if "data/" in name else stored)])
        self.check_refused('"w"', "is compressed")
        changed(lambda name, content: [(name, b"big" if "byteorder" in name else content, stored)])
        self.check_refused("big endian")
        changed(lambda name, content: [] if name.endswith("data/0") else [(name, content, stored)])
        self.check_refused('"w"', "lacks its storage")
        changed(lambda name, content: [] if name.endswith("version") else [(name, content, stored)])
        self.check_refused('lacks "version"')
        changed(lambda name, content: [(name, content[:-1] if name.endswith("data/0") else content, stored)])
        self.check_refused('"w"', "has 3999 bytes, expected 1000 elements of 4")
        with self.assertWarns(UserWarning):
            changed(lambda name, content: [(name, content, stored)] * (2 if name.endswith("data/0") else 1))
        self.check_refused("appears more than once")

    def test_zip_bombs(self):
        """Entries that claim more than there is, and entries on top of one another."""
        torch.save({"w": torch.zeros(4)}, self.source)
        self.repack(lambda name, content: [(name, bytes(1 << 26) if name.endswith(".pkl") else content,
                                            zipfile.ZIP_DEFLATED if name.endswith(".pkl") else zipfile.ZIP_STORED)])
        self.check_refused("compressed")
        # Each entry's content is the next entry, header and all: the sizes add up to more than the archive has.
        content, entries = bytes(100_000), []
        for name in [b"m/data/%d" % i for i in range(9)] + [b"m/data.pkl"]:
            common = struct.pack("<HHHHHIIIHH", 10, 0, 0, 0, 33, zlib.crc32(content), len(content), len(content),
                                 len(name), 0)
            content = b"PK\3\4" + common + name + content
            entries.append((common, name, len(content)))
        directory = b"".join(b"PK\1\2\n\0" + common + struct.pack("<HHHII", 0, 0, 0, 0, len(content) - size) + name
                             for common, name, size in reversed(entries))
        end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, len(entries), len(entries), len(directory), len(content), 0)
        self.source.write_bytes(content + directory + end)
        with zipfile.ZipFile(self.source) as archive:
            self.assertEqual(len(archive.namelist()), 10)
        self.check_refused("its entries overlap")

    def test_malicious_pickles_run_nothing(self):
        witness = self.folder / "witness"

        class Payload:
            def __init__(self, function, *args):
                self.value = function, args

            def __reduce__(self):
                return self.value
        source = f"open({str(witness)!r}, 'w').close()"
        for payload, word in ((Payload(os.system, f"touch {witness}"), "posix.system"),
                              (Payload(exec, source), "__builtin__.exec"),
                              (Payload(eval, source), "__builtin__.eval"),
                              (Payload(subprocess.check_call, ["touch", str(witness)]), "commands.check_call")):
            pickle.loads(pickle.dumps(payload, 2))
            self.assertTrue(witness.exists())  # it would have
            witness.unlink()
            for value in (payload, {"w": payload}, {"w": torch.ones(1), "x": [payload]}):
                torch.save(value, self.source)
                self.check_refused(f"the global {word} is not allowed")
                self.assertFalse(witness.exists())

    def test_damage(self):
        """No file that is cut short, or has one bit flipped, is read as other tensors, PyTorch's nor ours."""
        torch.save({"w": torch.randn(2, 3), "n": torch.tensor(5)}, self.source)
        result = self.run_program("--damage", self.source)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.run_program(self.source, self.copy).returncode, 0)
        result = self.run_program("--damage", self.copy)
        self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    PyTorchStateDictTest.program = sys.argv.pop(1)
    unittest.main()
