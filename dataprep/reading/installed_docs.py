"""The embedded corpus: the documentation inside the Python environment's own packages.

Three kinds of documents: docstrings of modules, classes and functions, found through `ast` (nothing
is imported, so nothing runs); files of text beside the code (.md, .rst, .txt, licences); and each
package's METADATA, which is its README with a header. It is real text with natural near-duplicates
(licences), e-mail addresses (METADATA) and poor text (tables).

The corpus depends on the installed versions only: packages are taken by name from a fixed list, and
files from the list that the installer recorded.
"""

import ast
import csv
import gc
import importlib.metadata
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from dataprep.config import Dataprep, Source
from dataprep.reading.fields import text_problem
from dataprep.reading.records import File, Record, Refusal, digest_of
from launch.errors import UserError
from launch.manifest import Input, digest_json

# Shortest docstring that is a document, characters: below it they say little but a name.
DOCSTRING_CHARACTERS_MIN = 200
NUM_SHARDS = 8

# The first six were chosen on 2026-11-21 for megabytes of docstrings for each second of parsing;
# torch was left out because it is the slowest of the large ones and its builds differ between
# machines. The others are small and bring READMEs, addresses and many copies of few licences.
_PACKAGES = """
scipy ray networkx numpy matplotlib sympy aiohttp aiohttp-cors aiosignal attrs certifi
charset-normalizer click contourpy cycler datasketch filelock fonttools frozenlist fsspec
google-api-core google-auth googleapis-common-protos grpcio hypothesis idna Jinja2
jsonschema kiwisolver mpmath msgpack multidict opencensus opentelemetry-api orjson packaging
platformdirs propcache proto-plus pydantic pyparsing python-dateutil python-stdnum
referencing requests rich sentencepiece shellingham six smart_open sortedcontainers tqdm
typer urllib3 virtualenv wrapt xxhash yarl zstandard
"""

# Tests and vendored copies: much code, few words, and the copies are in other packages already.
_SKIPPED_DIRECTORIES = frozenset(
    {"tests", "test", "testing", "_vendor", "vendored", "thirdparty_files", "__pycache__"}
)
_TEXT_SUFFIXES = frozenset({".md", ".rst", ".txt"})
_LEGAL_NAMES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "AUTHORS")
_STATEMENT_LISTS = ("body", "orelse", "handlers", "finalbody", "cases")
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def groups(source: Source) -> list[list[File]]:
    """The files of each shard: NUM_SHARDS runs of about equal size, cut by the file lists alone.

    Raises UserError if a package that the recipe names is not installed; one of the fixed list
    that is missing is left out, so that an environment without some extras has a corpus too.
    """
    files = [file for package in _packages(source) for file in _files_of(package)]
    total = sum(file.num_bytes for file in files)
    cut: list[list[File]] = [[] for _ in range(NUM_SHARDS)]
    before = 0
    for file in files:
        cut[min(NUM_SHARDS - 1, before * NUM_SHARDS // max(total, 1))].append(file)
        before += file.num_bytes
    return [group for group in cut if group]


def inputs(source: Source) -> list[Input]:
    """One input for each package: name and version, and the digest of its files' digests.

    These are the SHA-256 digests that the installer recorded, so that thousands of files need not
    be opened to know that nothing changed; a file edited in place since then goes unnoticed.
    """
    made = []
    for package in _packages(source):
        recorded = [[name, digest] for name, digest, _ in _recorded(package)]
        made.append(Input(f"{source.name}:{_title(package)}", digest_json(recorded)))
    return made


def read_records(
    file: File, id_prefix: str, license: str | None, limits: Dataprep
) -> Iterator[Record | Refusal]:
    """The documents of one file; `license` is for packages that state none.

    Reasons of refusal: unreadable, bad_python (it does not parse), lone_surrogate, bad_utf8,
    text_empty, text_too_long.
    """
    try:
        content = Path(file.path).read_bytes()
    except OSError:
        yield Refusal(file.name, 0, 0, None, None, "unreadable")
        return
    evidence = "package" if file.license else "recipe" if license else None
    license = file.license or license
    package = ("package", file.package or "")
    if not file.name.endswith(".py"):
        whole = _whole(file.name, content, id_prefix, license, package, limits)
        yield whole._replace(evidence=evidence) if isinstance(whole, Record) else whole
        return
    try:
        documented = _docstrings(content, file.name)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # MemoryError is what the parser raises for code that is nested too deeply.
        yield Refusal(file.name, 0, 0, len(content), digest_of(content), "bad_python")
        return
    for row, (name, line, text) in enumerate(documented):
        encoded = text.encode(errors="surrogatepass")
        problem = "lone_surrogate"
        if _is_unicode(text):
            problem = text_problem(text, limits.document_bytes_max) or ""
        if problem:
            yield Refusal(file.name, None, row, len(encoded), digest_of(encoded), problem)
            continue
        meta = (package, ("kind", "docstring"), ("name", name), ("line", str(line)))
        yield Record(f"{id_prefix}{file.name}#{row}", text, None, license, meta, evidence)


def _whole(
    name: str,
    content: bytes,
    id_prefix: str,
    license: str | None,
    package: tuple[str, str],
    limits: Dataprep,
) -> Record | Refusal:
    """A file of text as one document."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return Refusal(name, 0, 0, len(content), digest_of(content), "bad_utf8")
    problem = text_problem(text, limits.document_bytes_max)
    if problem is not None:
        return Refusal(name, 0, 0, len(content), digest_of(content), problem)
    return Record(f"{id_prefix}{name}#0", text, None, license, (package, ("kind", _kind(name))))


def _kind(name: str) -> str:
    path = PurePosixPath(name)
    if path.name == "METADATA":
        return "readme"
    return "licence" if _is_legal(path) else "text"


def _docstrings(content: bytes, name: str) -> list[tuple[str, int, str]]:
    """Dotted name, line and text of each long docstring, in the order of the lines.

    Raises SyntaxError or ValueError if the code does not parse, RecursionError or MemoryError if
    it is nested too deeply.
    """
    if content.count(b'"""') < 2 and content.count(b"'''") < 2:
        return []  # parsing is what costs: a file without a long string needs none
    tree = _parse(content)
    module = PurePosixPath(name).with_suffix("").as_posix().replace("/", ".")
    found = []
    pending: list[tuple[str, ast.AST]] = [(module.removesuffix(".__init__"), tree)]
    while pending:
        prefix, node = pending.pop()
        if isinstance(node, _Documented):
            if not isinstance(node, ast.Module):
                prefix = f"{prefix}.{node.name}"
            text = ast.get_docstring(node)
            if text is not None and len(text) >= DOCSTRING_CHARACTERS_MIN:
                found.append((prefix, getattr(node, "lineno", 1), text))
        for field in _STATEMENT_LISTS:
            children = getattr(node, field, ())
            # A lambda's body is an expression, not a list, and holds no docstring.
            if isinstance(children, list):
                pending.extend((prefix, child) for child in children)
    return sorted(found, key=lambda item: (item[1], item[0]))


def _parse(content: bytes) -> ast.Module:
    # A syntax tree is many objects and no cycle: the collector looks through them in vain, and
    # that is a third of the time (2026-11-21).
    collecting = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # others' invalid escapes are not our business
            return ast.parse(content)
    finally:
        if collecting:
            gc.enable()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _packages(source: Source) -> list[importlib.metadata.Distribution]:
    found = []
    for name in source.packages or _PACKAGES.split():
        try:
            found.append(importlib.metadata.distribution(name))
        except importlib.metadata.PackageNotFoundError:
            if source.packages:
                where = f"sources.{source.name}.packages"
                expected = "names of installed distributions"
                raise UserError(where, f"'{name}'", expected, "see pip list") from None
    if not found:
        where = f"sources.{source.name}"
        raise UserError(where, "none of its packages installed", "at least one", "make setup")
    return found


def _title(package: importlib.metadata.Distribution) -> str:
    return f"{package.metadata['Name']} {package.version}"


def _license(package: importlib.metadata.Distribution) -> str | None:
    """The package's licence if it is stated in one line."""
    metadata: Any = package.metadata  # an email.message.Message, in truth
    for key in ("License-Expression", "License"):
        stated = metadata.get(key)
        if stated and stated != "UNKNOWN" and "\n" not in stated and len(stated) <= 200:
            return str(stated)
    return None


def _files_of(package: importlib.metadata.Distribution) -> list[File]:
    """The files of a package that hold documents, in the order of their names."""
    title, license = _title(package), _license(package)
    return [
        File(name, str(package.locate_file(name)), num_bytes, title, license)
        for name, _, num_bytes in _recorded(package)
    ]


def _recorded(package: importlib.metadata.Distribution) -> list[tuple[str, str, int]]:
    """Name, digest and size of those files, as the installer recorded them, sorted by name."""
    record = package.read_text("RECORD")
    if record is None:
        where = f"package {_title(package)}"
        raise UserError(where, "no RECORD", "a package that pip installed", "install it with pip")
    rows = csv.reader(record.splitlines())
    return sorted(
        (name, digest, int(size))
        for name, digest, size in rows
        if size and _holds_documents(PurePosixPath(name))
    )


def _holds_documents(path: PurePosixPath) -> bool:
    if ".." in path.parts or not _SKIPPED_DIRECTORIES.isdisjoint(path.parts):
        return False
    if path.suffix == ".py":
        return True
    if path.parts[0].endswith((".dist-info", ".egg-info")):
        # Beside these, such a directory holds only lists for machines, some of them .txt.
        return path.name == "METADATA" or _is_legal(path)
    return path.suffix in _TEXT_SUFFIXES or _is_legal(path)


def _is_legal(path: PurePosixPath) -> bool:
    return path.suffix != ".py" and path.name.upper().startswith(_LEGAL_NAMES)
