from badgateway.demo.scenes import SCENES
from badgateway.demo.stage import CDN_DEADLINE, CHAIN, LB_DEADLINE, OPEN_FOR, OPENS_AFTER
from badgateway_proxy import parse_duration


def test_there_are_ten_and_each_says_why() -> None:
    assert len(SCENES) == 10
    assert len({scene.title for scene in SCENES}) == 10
    assert all(len(scene.why) > 40 for scene in SCENES)


def test_the_figures_the_scenes_expect_are_those_of_the_chain() -> None:
    assert parse_duration(CHAIN["lb"]["timeouts"]["first_byte"]) == LB_DEADLINE
    assert parse_duration(CHAIN["cdn"]["timeouts"]["first_byte"]) == CDN_DEADLINE
    assert parse_duration(CHAIN["lb"]["breaker"]["open_for"]) == OPEN_FOR
    assert CHAIN["lb"]["breaker"]["minimum_calls"] == OPENS_AFTER
    assert LB_DEADLINE < CDN_DEADLINE
