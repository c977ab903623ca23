"""Files of numpy.save and numpy.savez, and IDX and CIFAR files built as their pages say, arrive at a model bit for bit.

dump_data reads an experiment file and the data that it names.
"""

import gzip
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile

import numpy
import safetensors.numpy

MODEL = """
[data.split]
train = 1.0
validation = 0.0
test = 0.0
[model]
layers = [{ kind = "flatten" }, { kind = "linear", out_features = %d }]
[train]
epochs = 1
select = "last"
"""

IDX_TYPES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array: numpy.ndarray) -> bytes:
    """yann.lecun.com/exdb/mnist: magic, sizes as 4-byte integers, the data; all high byte first."""
    code = IDX_TYPES[array.dtype.str[1:]]
    return (bytes([0, 0, code, array.ndim]) + b"".join(struct.pack(">I", size) for size in array.shape)
            + array.astype(array.dtype.newbyteorder(">")).tobytes())


class DataReadersTest(unittest.TestCase):
    program: str

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.random = numpy.random.default_rng(1)

    def run_program(self, data: str, outputs: int) -> subprocess.CompletedProcess:
        (self.folder / "t.toml").write_text("[data]\n" + data + MODEL % outputs)
        # From the folder, so that the resolved config has to make paths absolute.
        return subprocess.run([self.program, "t.toml", "out"], cwd=self.folder, capture_output=True, text=True)

    def check(self, data: str, features: numpy.ndarray, targets: numpy.ndarray, outputs: int = 10) -> None:
        result = self.run_program(data, outputs)
        self.assertEqual(result.returncode, 0, result.stderr)
        read = safetensors.numpy.load_file(self.folder / "out")
        for name, expected in (("features", features), ("targets", targets)):
            self.assertEqual(read[name].dtype, expected.dtype, name)
            self.assertEqual(read[name].shape, expected.shape, name)
            self.assertEqual(read[name].tobytes(), numpy.ascontiguousarray(expected).tobytes(), name)

    def check_refused(self, data: str, *words: str, outputs: int = 10) -> None:
        result = self.run_program(data, outputs)
        self.assertEqual(result.returncode, 1, result.stderr)
        for word in ("t.toml:", *words):
            self.assertIn(word, result.stderr)

    def save(self, name: str, array: numpy.ndarray) -> None:
        numpy.save(self.folder / name, array)

    NPY = 'features = "x.npy"\ntargets = "y.npy"\n'

    def test_npy_types_and_orders(self):
        y = numpy.arange(6) % 3
        for code in ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"):
            for order in "<>":
                for memory in "CF":
                    if code[0] == "f":
                        x = self.random.standard_normal((6, 2, 3))
                    else:
                        x = self.random.integers(0, 2 if code == "b1" else 100, (6, 2, 3))
                        x = -x if code[0] == "i" else x
                    x = numpy.array(x.astype(order + code), order=memory)
                    self.save("x.npy", x)
                    self.save("y.npy", y.astype(order + code))
                    classes = y.astype("b1").astype("i8") if code == "b1" else y
                    self.check(self.NPY, x.astype("<f4"), classes.astype("<i8"))

    def test_npy_bits(self):
        """float32 arrives as it is; float64 is rounded once, to nearest."""
        x = numpy.array([-0.0, 1e-45, 0.1, 3.4028235e38], "f4").reshape(4, 1)
        self.save("x.npy", x)
        self.save("y.npy", numpy.zeros(4, "i8"))
        self.check(self.NPY, x, numpy.zeros(4, "i8"))
        x = self.random.standard_normal((1000, 3)) * 10.0 ** self.random.integers(-40, 30, (1000, 3))
        self.save("x.npy", x)
        self.save("y.npy", numpy.zeros(1000, "u1"))
        self.check(self.NPY, x.astype("f4"), numpy.zeros(1000, "i8"))

    def test_npy_versions(self):
        x = self.random.standard_normal((4, 3)).astype("f4")
        self.save("y.npy", numpy.arange(4))
        for version in ((1, 0), (2, 0), (3, 0)):
            with open(self.folder / "x.npy", "wb") as file:
                numpy.lib.format.write_array(file, x, version)
            self.check(self.NPY, x, numpy.arange(4))

    def test_scale_gives_pixels_between_zero_and_one(self):
        x = numpy.arange(256, dtype="u1").reshape(4, 8, 8)
        self.save("x.npy", x)
        self.save("y.npy", numpy.arange(4))
        self.check(self.NPY, x.astype("f4"), numpy.arange(4))
        self.check(self.NPY + "scale = 0.00392156862745098\n", x.astype("f4") / numpy.float32(255), numpy.arange(4))

    def test_regression(self):
        x = self.random.standard_normal((5, 3)).astype("f4")
        for shape in ((5,), (5, 1), (5, 2)):
            y = self.random.standard_normal(shape)
            self.save("x.npy", x)
            self.save("y.npy", y)
            expected = y.reshape(5, -1).astype("f4")
            self.check(self.NPY + 'task = "regression"\n', x, expected, outputs=expected.shape[1])
        self.check_refused(self.NPY + 'task = "regression"\n', "has 3 outputs, expected 2, the columns of data.targets",
                           outputs=3)

    def test_npz(self):
        x = self.random.standard_normal((50, 4, 4))
        y = self.random.integers(0, 10, 50)
        for save in (numpy.savez, numpy.savez_compressed):
            save(self.folder / "d.npz", images=numpy.asfortranarray(x), labels=y.astype(">i2"), other=numpy.ones(3))
            data = 'path = "d.npz"\nfeatures = "images"\ntargets = "labels"\n'
            self.check(data, x.astype("f4"), y)
        self.check_refused('path = "d.npz"\nfeatures = "imags"\ntargets = "labels"\n', "data.path",
                           'd.npz: has no array "imags"; did you mean "images"?')
        numpy.savez(self.folder / "d.npz", numpy.zeros((300_000, 1)), numpy.zeros(300_000))
        self.check('path = "d.npz"\nfeatures = "arr_0"\ntargets = "arr_1"\n', numpy.zeros((300_000, 1), "f4"),
                   numpy.zeros(300_000, "i8"))

    def test_npz_damage(self):
        numpy.savez_compressed(self.folder / "d.npz", x=numpy.arange(100.0), y=numpy.zeros(100))
        data = 'path = "d.npz"\nfeatures = "x"\ntargets = "y"\n'
        whole = (self.folder / "d.npz").read_bytes()
        for size in range(0, len(whole), 7):
            (self.folder / "d.npz").write_bytes(whole[:size])
            self.check_refused(data, "d.npz: not a valid zip archive")
        with zipfile.ZipFile(self.folder / "d.npz", "w", zipfile.ZIP_BZIP2) as archive:
            archive.writestr("x.npy", b"0" * 1000)
        self.check_refused(data, "d.npz: entry \"x.npy\": compression method 12, expected none (0) or deflate (8)")
        with zipfile.ZipFile(self.folder / "d.npz", "w") as archive:
            archive.writestr("x.npy", b"hello")
        self.check_refused(data, "d.npz: x: not a valid NPY file")
        numpy.savez(self.folder / "d.npz", x=numpy.ones(3), y=numpy.array([{}, {}, {}]))
        self.check_refused(data, "d.npz: y: has Python objects")

    def test_npy_dtypes_that_are_not_read(self):
        self.save("y.npy", numpy.arange(3))
        for x, word in ((numpy.ones(3, "f2"), '"<f2"'), (numpy.ones(3, "c8"), '"<c8"'), (numpy.array(list("abc")), '"<U1"'),
                        (numpy.array([1, "a", None], object), "Python objects"), (numpy.ones(3, "M8[s]"), '"<M8[s]"'),
                        (numpy.zeros(3, [("a", "f4"), ("b", "i4", (2,))]), "a structured dtype")):
            self.save("x.npy", x)
            self.check_refused(self.NPY, "t.toml:2:1: data.features: ", "x.npy: has ", word)

    def test_npy_errors_name_the_place(self):
        x, y = numpy.ones((4, 3)), numpy.arange(4)
        self.save("y.npy", y)
        x[2, 1] = numpy.nan
        self.save("x.npy", x)
        self.check_refused(self.NPY, "x.npy: row 2, column 1: nan is not a finite number")
        self.save("x.npy", numpy.ones((5, 3)))
        self.check_refused(self.NPY, "y.npy: has 4 rows, expected 5 as in ", "x.npy")
        self.save("x.npy", numpy.ones((4, 3)))
        self.check_refused(self.NPY, "y.npy: row 3: label 3 is out of range, expected 0 to 2: the model has 3 outputs",
                           outputs=3)
        self.save("y.npy", numpy.eye(4))
        self.check_refused(self.NPY, "y.npy: has the shape [4, 4], expected one class index a row")
        (self.folder / "y.npy").unlink()
        self.check_refused(self.NPY, "t.toml:3:1: data.targets: cannot read ", "y.npy: No such file")

    IDX = 'features = "train-images-idx3-ubyte%s"\ntargets = "train-labels-idx1-ubyte%s"\n'

    def write_idx(self, images: numpy.ndarray, labels: numpy.ndarray) -> None:
        for name, array in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
            (self.folder / name).write_bytes(idx(array))
            with gzip.open(self.folder / (name + ".gz"), "wb") as file:
                file.write(idx(array))

    def test_idx(self):
        images = self.random.integers(0, 256, (300, 28, 28), numpy.uint8)
        images[100:] = 0  # what compresses well
        labels = self.random.integers(0, 10, 300, numpy.uint8)
        self.write_idx(images, labels)
        for ends in (("", ""), (".gz", ".gz"), ("", ".gz")):
            self.check(self.IDX % ends, images.astype("f4"), labels.astype("i8"))
        self.check(self.IDX % ("", "") + "scale = 0.00392156862745098\n", images.astype("f4") / numpy.float32(255),
                   labels.astype("i8"))

    def test_idx_types(self):
        for code in IDX_TYPES:
            images = (self.random.standard_normal((4, 3)) * 50).astype(code)
            self.write_idx(images, numpy.arange(4).astype(code))
            self.check(self.IDX % ("", ".gz"), images.astype("f4"), numpy.arange(4))

    def test_idx_errors(self):
        images, labels = numpy.ones((4, 2, 2), "u1"), numpy.arange(4, dtype="u1")
        self.write_idx(images, labels[:3])
        self.check_refused(self.IDX % ("", ""), "train-labels-idx1-ubyte: has 3 rows, expected 4 as in ")
        self.write_idx(images, labels)
        self.check_refused(self.IDX % ("", ""), "train-labels-idx1-ubyte: row 2: label 2 is out of range", outputs=2)
        for name in ("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"):
            path, end = self.folder / name, name[len("train-images-idx3-ubyte"):]
            whole = path.read_bytes()
            for size in range(len(whole)):
                path.write_bytes(whole[:size])
                self.check_refused(self.IDX % (end, ""), name + ": not a valid ")
            path.write_bytes(whole + b"\0")
            self.check_refused(self.IDX % (end, ""), name + ": not a valid ")
            path.write_bytes(whole)
        with gzip.open(self.folder / "train-images-idx3-ubyte.gz", "wb") as file:
            file.write(idx(images) + bytes(1 << 24))
        self.check_refused(self.IDX % (".gz", ""), "it has more than 16 bytes of data, expected 16")
        with gzip.open(self.folder / "train-images-idx3-ubyte.gz", "wb") as file:
            file.write(b"\0\0\x08\x03" + struct.pack(">III", 1 << 30, 1 << 10, 1 << 10))
        self.check_refused(self.IDX % (".gz", ""), "its header says 1125899906842624 bytes")

    def test_cifar(self):
        """www.cs.toronto.edu/~kriz/cifar.html: <1 x label><3072 x pixel>, red, green and blue planes, row by row."""
        images = self.random.integers(0, 256, (5, 3, 32, 32), numpy.uint8)
        labels = self.random.integers(0, 10, 5, numpy.uint8)
        records = [bytes([label]) + image.tobytes() for label, image in zip(labels, images)]
        (self.folder / "1.bin").write_bytes(b"".join(records[:2]))
        (self.folder / "2.bin").write_bytes(b"".join(records[2:]))
        self.check('files = ["1.bin", "2.bin"]\n', images.astype("f4"), labels.astype("i8"))
        self.check('format = "cifar10"\nfiles = ["2.bin"]\nscale = 0.00392156862745098\n',
                   images[2:].astype("f4") / numpy.float32(255), labels[2:].astype("i8"))
        self.check_refused('format = "cifar100"\nfiles = ["2.bin"]\n', "2.bin: not a valid CIFAR file: it has 9219 bytes")
        self.check_refused('files = ["2.bin", "3.bin"]\n', "t.toml:2:1: data.files: cannot read ", "3.bin")
        fine = numpy.array([7, 99, 0, 55, 1], "u1")
        coarse = numpy.array([19, 0, 3, 3, 4], "u1")
        (self.folder / "100.bin").write_bytes(b"".join(
            bytes([c, f]) + image.tobytes() for c, f, image in zip(coarse, fine, images)))
        data = 'format = "cifar100"\nfiles = ["100.bin"]\n'
        self.check(data, images.astype("f4"), fine.astype("i8"), outputs=100)
        self.check(data + 'label = "coarse"\n', images.astype("f4"), coarse.astype("i8"), outputs=20)

    def test_csv_errors_name_row_and_column(self):
        (self.folder / "d.csv").write_text("1,2,0\n3,x,1\n")
        self.check_refused('path = "d.csv"\n', 'd.csv:2: column 2: "x" is not a number')


if __name__ == "__main__":
    DataReadersTest.program = pathlib.Path(sys.argv.pop(1)).absolute()
    unittest.main()
