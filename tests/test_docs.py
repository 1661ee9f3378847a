"""The docs say what is so: commands exist, links lead somewhere, generated pages are current."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A command in the docs stands in an indented or fenced block, at the start of its line.
COMMAND = re.compile(r"^\s*(?:\$ )?((?:gristmill|python -m) [a-z].*)$")


def commands() -> list[str]:
    found = set()
    for page in PAGES:
        code = False
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.strip().startswith("```"):
                code = not code
            match = COMMAND.match(line)
            if match and (code or line.startswith("    ")):
                found.add(match.group(1).split("  ")[0].strip())
    return sorted(found)


@pytest.mark.parametrize("command", commands())
def test_a_command_in_the_docs_exists(command: str) -> None:
    words = shlex.split(command, comments=True)
    if words[:2] == ["python", "-m"]:
        words = ["gristmill", *words[2:]]
    if words[1].split(".")[0] in ("benchmarks", "docs", "examples"):
        assert (ROOT / words[1].replace(".", "/")).with_suffix(".py").exists()
        return
    stage, verb = ("launch", "run") if words[1] == "run" else (words[1], words[2])
    module = __import__(f"{stage}.__main__", fromlist=["app"])
    group = get_command(module.app)
    assert verb in group.commands, f"{verb} is no verb of {stage}"  # type: ignore[attr-defined]
    known = {
        name
        for parameter in group.commands[verb].params  # type: ignore[attr-defined]
        for name in parameter.opts
    }
    options = {word.split("=")[0] for word in words if word.startswith("--")}
    assert options <= known | {"--help"}, options - known


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_the_page_of_keys_is_current() -> None:
    from docs.generate_config import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_the_targets_that_the_docs_name_are_in_the_makefile() -> None:
    listing = subprocess.run(
        ["make", "--silent", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    named = {
        target
        for page in PAGES
        for target in re.findall(r"(?:^|`|    )make ([a-z][a-z-]*)", page.read_text(), re.M)
    }
    assert named
    assert named <= set(re.findall(r"^  ([a-z-]+)", listing, re.M))


def test_the_page_of_rules_is_what_the_presets_say() -> None:
    from docs.generate_rules import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"
