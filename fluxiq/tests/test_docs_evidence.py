"""What the documents on security and operation name exists: files, tests, commands, options."""

import re
import shlex

import pytest
from django.core.management import CommandError, get_commands, load_command_class

from fluxiq.tests.engines import PROJECT

DOCUMENTS = ("SECURITY.md", "docs/security.md", "docs/runbook.md", "docs/scaling.md")

_NAMED = re.compile(
    r"`((?:accounts|authn|bench|deploy|docs|fluxiq|merchants)/[\w./-]+\.\w+"
    r"|requirements\.lock|Dockerfile)(?:::(\w+))?`"
)
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([\w-]+))?\)")
_COMMAND = re.compile(r"(?:python )?manage\.py ((?:\\\n|[^`\n|#])+)")
_BLOCK = re.compile(r"```sh\n(.+?)```", re.DOTALL)
_INLINE = re.compile(r"`((?:python )?manage\.py [^`]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def text_of(document: str) -> str:
    return (PROJECT / document).read_text()


def evidence() -> list[tuple[str, str, str]]:
    """Each file that a document names, and the test in it, where one is named."""
    return sorted(
        {
            (document, path, test)
            for document in DOCUMENTS
            for path, test in _NAMED.findall(text_of(document))
        }
    )


def commands() -> list[tuple[str, str]]:
    """Each call of manage.py that a document shows."""
    found = set()
    for document in (*DOCUMENTS, "docs/operate.md"):
        text = text_of(document)
        inline = (" ".join(code.split()) for code in _INLINE.findall(text))
        shown = [*_BLOCK.findall(text), *inline]
        for part in shown:
            found |= {(document, call.strip()) for call in _COMMAND.findall(part)}
    return sorted(found)


def test_there_is_evidence_and_there_are_commands() -> None:
    assert len(evidence()) > 80
    assert len(commands()) > 15


@pytest.mark.parametrize(("document", "path", "test"), evidence())
def test_what_is_named_as_evidence_exists(document: str, path: str, test: str) -> None:
    file = PROJECT / path
    assert file.exists(), f"{document} names {path}"
    if test:
        assert f"def {test}(" in file.read_text(), f"{document} names {path}::{test}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    for path, heading in _LINK.findall(text_of(document)):
        target = (PROJECT / document).parent / path if path else PROJECT / document
        assert target.exists(), path
        if heading:
            titles = _HEADING.findall(target.read_text())
            anchors = {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}
            assert heading in anchors, heading


@pytest.mark.parametrize(("document", "call"), commands())
def test_a_command_that_is_shown_takes_what_it_is_shown_with(document: str, call: str) -> None:
    name, *arguments = shlex.split(call.replace("\\\n", " ").partition(" <")[0])
    known = get_commands()
    assert name in known, f"{document} shows {name}"
    command = load_command_class(known[name], name)
    parser = command.create_parser("manage.py", name)
    parser.called_from_command_line = False
    try:
        parser.parse_args([a for a in arguments if a != "…"])
    except CommandError as error:
        pytest.fail(f"{document} shows `{call}`: {error}")


def test_every_requirement_of_level_2_stands_in_the_table_once() -> None:
    """Those of V6 to V9; of V10 (OAuth) the ones that apply."""
    wanted = {
        "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5,
        "7.5": 2, "8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1, "9.1": 3, "9.2": 4,
    }  # fmt: skip
    rows = re.findall(r"^\| (\d+\.\d+)\.(\d+) \|", text_of("docs/security.md"), re.MULTILINE)
    for section, count in wanted.items():
        numbers = [int(number) for found, number in rows if found == section]
        assert numbers == list(range(1, count + 1)), section
