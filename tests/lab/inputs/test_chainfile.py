from pathlib import Path

import pytest

from badgateway.chain.errors import InvalidRequest
from badgateway.inputs.chainfile import load_chain
from badgateway.inputs.problems import InvalidInput


def test_without_a_file_it_is_the_default_chain_with_what_the_command_line_says() -> None:
    assert load_chain(None, {}).instances == ("app-1", "app-2")
    assert load_chain(None, {"app": {"instances": 3}}).instances == ("app-1", "app-2", "app-3")


def test_the_command_line_goes_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "chain.yaml"
    file.write_text("lb: {timeouts: {first_byte: 1s}}\napp: {instances: 4}\n")
    chain = load_chain(file, {"app": {"instances": 1}})
    assert chain.instances == ("app-1",)
    assert chain.lb == {"timeouts": {"first_byte": "1s"}}


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "chain.yaml"
    file.write_text("# nothing\n")
    assert load_chain(file, {}) == load_chain(None, {})


def test_everything_that_is_wrong_in_a_file_is_told_with_its_position(tmp_path: Path) -> None:
    file = tmp_path / "chain.yaml"
    file.write_text("lb:\n  timeouts: {first_bite: 1s}\nappp: {}\n")
    with pytest.raises(InvalidInput) as error:
        load_chain(file, {})
    assert [(problem.line, problem.path) for problem in error.value.problems] == [
        (2, "lb.timeouts.first_bite"),
        (3, "appp"),
    ]


@pytest.mark.parametrize("content", ["[", "- 1", "text"])
def test_a_file_that_is_no_chain_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "chain.yaml"
    file.write_text(content)
    with pytest.raises(InvalidInput):
        load_chain(file, {})


def test_a_wrong_override_is_told_without_a_file() -> None:
    with pytest.raises(InvalidRequest, match="backend"):
        load_chain(None, {"app": {"backend": "ftp://127.0.0.1"}})
