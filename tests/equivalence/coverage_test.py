"""Nothing is left out of this suite: what the core knows, what the plugins claim, the tables, the list of plugins.

    coverage_test.py DRIVER PLUGIN... [-- EXCLUDED_PLUGIN DEPENDENCIES]...

The plugins are those that the other tests run on. An excluded one does not train: it claims no operator, where it can
be asked, and its DEPENDENCIES have no planner that could.
"""

import pathlib
import re
import subprocess
import sys
import unittest

import numpy

from tests.equivalence.modelbatch_driver import Driver, Model, Spec, main
from tests.equivalence.table import GRAPHS, LOSSES, OPERATORS, OPTIMIZERS

# What the tables hold, by what plugins call it.
TABLES = {
    "operators": set(OPERATORS),
    "losses": {loss.kind for loss in LOSSES.values()},
    "optimizers": set(OPTIMIZERS),
}


class CoverageTest(unittest.TestCase):
    drivers: list[Driver]
    driver: Driver
    excluded: list[tuple[str, str]]  # plugin, the file with its dependencies

    def test_all_that_plugins_claim_has_an_entry(self):
        for driver in self.drivers:
            for what, table in TABLES.items():
                with self.subTest(plugin=driver.name, what=what):
                    self.assertEqual(set(driver.claims[what]) - table, set(), "without an entry in table.py")

    def test_all_that_the_core_knows_has_an_entry(self):
        for what, kinds in self.driver.kinds.items():
            with self.subTest(what=what):
                self.assertEqual(set(kinds) - TABLES[what], set(), "without an entry in table.py")

    def test_every_entry_is_tried_on_a_plugin(self):
        for what, table in TABLES.items():
            claimed = set().union(*(driver.claims[what] for driver in self.drivers))
            with self.subTest(what=what):
                self.assertEqual(table - claimed, set(), "in table.py, but no plugin claims it")

    def test_every_operator_is_in_its_graphs(self):
        self.assertEqual(len(GRAPHS), sum(len(operator.graphs) for operator in OPERATORS.values()), "names repeat")
        for kind, operator in OPERATORS.items():
            with self.subTest(operator=kind):
                self.assertGreater(len(operator.graphs), 0)
                for name, graph in operator.graphs.items():
                    for shape in graph.shapes:
                        kinds = {op["kind"] for op in graph.build(shape.inputs, 2, 2).operators}
                        self.assertIn(kind, kinds, name)

    def test_every_graph_is_tried(self):
        """And each with a loss of classes and with one of numbers."""
        for classes in (True, False):
            tried = {name for loss in LOSSES.values() for name in loss.graphs if loss.classes == classes}
            self.assertEqual(set(GRAPHS) ^ tried, set())

    def test_every_hyper_parameter_is_tried(self):
        for kind, info in self.driver.kinds["optimizers"].items():
            tried = {name for case in OPTIMIZERS[kind].cases + OPTIMIZERS[kind].optional for name in case}
            with self.subTest(optimizer=kind):
                self.assertEqual(set(info["hyper_parameters"]) ^ tried, set())

    def test_every_attribute_of_a_loss_is_tried(self):
        for kind, attributes in self.driver.kinds["losses"].items():
            tried = {name for loss in LOSSES.values() if loss.kind == kind for name in loss.attributes(2)}
            with self.subTest(loss=kind):
                self.assertEqual(set(attributes) ^ tried, set())

    def test_plugins_said_to_have_no_forward_have_none(self):
        for driver in self.drivers:
            if not driver.has_forward:
                driver.has_forward = True
                model = Model(Spec(1).op("linear", out_features=1))
                data = numpy.zeros((1, 1), numpy.float32)
                with self.assertRaisesRegex(RuntimeError, "session_forward"):
                    driver.run([model], "mse", data, data, forward=[0])

    def test_plugins_said_to_have_no_optional_columns_refuse_them(self):
        for driver in self.drivers:
            if not driver.has_optional_columns:
                data = numpy.zeros((1, 1), numpy.float32)
                for kind in driver.claims["optimizers"]:
                    for name, entry in driver.kinds["optimizers"][kind]["hyper_parameters"].items():
                        if entry["optional"]:
                            model = Model(Spec(1).op("linear", out_features=1), optimizer={name: 1})
                            with self.assertRaisesRegex(RuntimeError, name):
                                driver.run([model], "mse", data, data, [{"rows": [0]}], kind)

    def test_every_plugin_is_in_the_list(self):
        """Asks the BUILD files of the source tree, to which links of the runfiles lead."""
        source = pathlib.Path(__file__).resolve().parents[2]
        declared = set()
        for build in (source / "plugins").rglob("BUILD*"):
            declared |= set(re.findall(r'^modelbatch_plugin\(\n(?:    .*\n)*?    name = "(\w+)"', build.read_text(),
                                       re.MULTILINE))
        self.assertIn("cpu", declared, "found no plugins")
        listed = {driver.name for driver in self.drivers}
        listed |= {pathlib.Path(plugin).stem.removeprefix("libmodelbatch_") for plugin, _ in self.excluded}
        self.assertEqual(declared ^ listed, set(), "see BACKENDS in tests/equivalence/BUILD")

    def test_excluded_plugins_do_not_train(self):
        for plugin, dependencies in self.excluded:
            with self.subTest(plugin=plugin):
                labels = pathlib.Path(dependencies).read_text().splitlines()
                self.assertTrue("//modelbatch/backend:backend" in labels, "these are no plugin's dependencies")
                self.assertFalse("//backends/grouped:plan" in labels, "it can train: move it to BACKENDS")
                answer = subprocess.run([self.driver.program, "--capabilities", plugin], capture_output=True, text=True)
                # Refused: no device, or not implemented.
                if answer.returncode == 0:
                    self.assertIn('"operators":[]', answer.stdout, "it claims to train: move it to BACKENDS")


if __name__ == "__main__":
    arguments, rest = sys.argv, []
    if "--" in sys.argv:
        arguments, rest = sys.argv[:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]
    CoverageTest.excluded = list(zip(rest[::2], rest[1::2], strict=True))
    main(arguments, CoverageTest)
