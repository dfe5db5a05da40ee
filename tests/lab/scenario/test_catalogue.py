from pathlib import Path

import pytest

from badgateway.chain.errors import InvalidRequest
from badgateway.scenario import catalogue


@pytest.fixture(autouse=True)
def scenarios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("502/app-crashed", "502/garbage", "504/app-hangs", "504/garbage"):
        file = tmp_path / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"title: About {name}\ncode: {name[:3]}\ncauses: [some_cause]\n")
    monkeypatch.setattr(catalogue, "root", lambda: tmp_path)
    return tmp_path


def ids(*words: str) -> list[str]:
    return [catalogue.id_of(path) for path in catalogue.select(words)]


def test_the_catalogue_is_sorted_and_knows_titles_codes_and_causes() -> None:
    entries = catalogue.entries()
    assert [entry.id for entry in entries] == ["502/app-crashed", "502/garbage", "504/app-hangs", "504/garbage"]
    assert (entries[0].title, entries[0].code, entries[0].causes) == ("About 502/app-crashed", 502, ("some_cause",))


def test_a_broken_file_does_not_take_the_catalogue_with_it(scenarios: Path) -> None:
    (scenarios / "502" / "broken.yaml").write_text("title: [")
    (scenarios / "502" / "list.yaml").write_text("- 1")
    assert len(catalogue.entries()) == 4


def test_a_scenario_is_found_by_code_id_name_and_path(scenarios: Path) -> None:
    assert ids("502") == ["502/app-crashed", "502/garbage"]
    assert ids("504/app-hangs") == ids("504/app-hangs.yaml") == ids("app-hangs") == ["504/app-hangs"]
    assert ids(str(scenarios / "504" / "app-hangs.yaml")) == ["504/app-hangs"]
    assert ids(str(scenarios / "504")) == ["504/app-hangs", "504/garbage"]


def test_each_is_named_once_however_often_it_is_asked_for() -> None:
    assert ids("app-crashed", "502", "502/app-crashed") == ["502/app-crashed", "502/garbage"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("garbage", "names several scenarios: 502/garbage, 504/garbage"),
        ("app-crushed", "app-crashed"),
        ("502/garbagge", "502/garbage"),
        ("no/such/file.yaml", "no scenario or file"),
    ],
)
def test_a_word_that_names_nothing_gets_help(word: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match="scenario") as error:
        catalogue.select([word])
    assert said in str(error.value)


def test_an_empty_directory_is_said(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InvalidRequest, match="no scenario files"):
        catalogue.select([str(empty)])
