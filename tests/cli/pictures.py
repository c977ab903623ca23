"""What tests of `modelbatch plot` and `report` look for in the files."""

import csv
import html.parser
import math
import struct
import sys
import xml.etree.ElementTree
import zlib

SVG = "{http://www.w3.org/2000/svg}"


def read_csv(path: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def models_in_svg(root: xml.etree.ElementTree.Element) -> dict[int, list[str]]:
    """The tooltips of every model that is drawn as a line or a point of its own."""
    found: dict[int, list[str]] = {}
    for element in root.iter():
        if "data-model" in element.attrib:
            found.setdefault(int(element.attrib["data-model"]), []).append(element.findtext(f"{SVG}title"))
    return found


def svg(path: str) -> xml.etree.ElementTree.Element:
    root = xml.etree.ElementTree.parse(path).getroot()
    assert root.tag == f"{SVG}svg", root.tag
    return root


def png_size(path: str) -> tuple[int, int]:
    """Decodes the file: every chunk's checksum, and as many pixels as it says."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", path
    at, pixels, header = 8, b"", None
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        content = data[at + 8:at + 8 + length]
        (checksum,) = struct.unpack(">I", data[at + 8 + length:at + 12 + length])
        assert zlib.crc32(kind + content) == checksum, (path, kind)
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", content)
        elif kind == b"IDAT":
            pixels += content
        at += 12 + length
    assert kind == b"IEND", (path, kind)
    width, height, depth, color, _, _, interlaced = header
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    assert interlaced == 0
    raw = zlib.decompress(pixels)
    assert len(raw) == height * (1 + (width * samples * depth + 7) // 8), path
    assert len(set(raw)) > 20, f"{path} is empty"
    return width, height


class Page(html.parser.HTMLParser):
    """An HTML page: its tables, its text, and what it refers to."""

    VOID = {"meta", "br", "hr", "img", "link", "input"}

    def __init__(self, path: str):
        super().__init__()
        self.tables: dict[str, list[list[tuple[str, str]]]] = {}  # rows of (text, data-v)
        self.models: dict[str, list[int]] = {}  # of the rows of a table
        self.drawn: dict[int, int] = {}  # how often a model is in the charts
        self.text = ""
        self.scripts: list[str] = []
        self.tags: dict[str, int] = {}
        self._stack: list[str] = []
        self._table = None
        self._ids: set[str] = set()
        with open(path, encoding="utf-8") as file:
            self.source = file.read()
        self.feed(self.source)
        self.close()
        assert self._stack == [], self._stack

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag not in self.VOID:
            self._stack.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"<{tag} {name}={value}>"
            assert name not in ("src", "srcset", "action", "data"), f"<{tag} {name}={value}>"
            if name.endswith("href"):
                assert value.startswith("#"), f"<{tag} {name}={value}>"
        if "id" in attributes:
            assert attributes["id"] not in self._ids, attributes["id"]
            self._ids.add(attributes["id"])
        if "data-model" in attributes and tag in ("g", "use"):
            model = int(attributes["data-model"])
            self.drawn[model] = self.drawn.get(model, 0) + 1
        if tag == "table":
            self._table = attributes.get("id", "")
            self.tables.setdefault(self._table, [])
        elif tag == "tr":
            self.tables[self._table].append([])
            if "data-model" in attributes:
                self.models.setdefault(self._table, []).append(int(attributes["data-model"]))
        elif tag in ("td", "th"):
            self.tables[self._table][-1].append(("", attributes.get("data-v")))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self._stack.pop()

    def handle_endtag(self, tag):
        assert self._stack and self._stack[-1] == tag, (tag, self._stack)
        self._stack.pop()

    def handle_data(self, data):
        if "script" in self._stack:
            self.scripts.append(data)
        self.text += data
        if self._stack and {"td", "th"} & set(self._stack):
            cells = self.tables[self._table][-1]
            cells[-1] = (cells[-1][0] + data, cells[-1][1])


def check_alone(page: Page) -> None:
    """Nothing is fetched from anywhere."""
    for word in ("http:", "https:", "url(", "@import", "fetch(", "XMLHttpRequest", "import("):
        assert word not in page.source, word
    for tag in ("img", "link", "iframe", "object", "embed", "base", "form"):
        assert tag not in page.tags, tag


def check_leaderboard(page: Page, results: list[dict[str, str]]) -> None:
    """Every number of the table is that of results.csv."""
    header, *rows = page.tables["leaderboard"]
    names = [text for text, _ in header]
    by_rank = sorted(results, key=lambda row: int(row["rank"]))
    assert len(rows) == len(results), (len(rows), len(results))
    assert page.models["leaderboard"] == [int(row["model"]) for row in by_rank]
    checked = set()
    for cells, result in zip(rows, by_rank):
        for name, (text, exact) in zip(names, cells):
            column = next(key for key in result
                          if name in (key, key.replace("_", " "), key.rpartition(".")[2], key.removeprefix("model.")))
            checked.add(column)
            if exact is None:
                assert text == result[column], (name, text, result[column])
            elif result[column] == "":
                assert exact == "" and text == "-", (name, text, exact)
            else:
                assert float(exact) == float(result[column]), (name, exact, result[column])
                shown = float(text.removesuffix(" %")) / (100 if text.endswith("%") else 1)
                tolerance = 0.00051 if text.endswith("%") else 0.00051 * abs(float(exact))
                assert math.isinf(shown) or abs(shown - float(exact)) <= tolerance, (name, text, exact)
    missing = set(by_rank[0]) - checked - {"seed"}
    assert all(row[name] == "" for name in missing for row in results), missing


if __name__ == "__main__":
    sys.exit("a module for tests")
