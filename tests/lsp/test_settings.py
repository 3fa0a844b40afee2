"""What an editor may set, and how it is told what it may not."""

import pytest

from lsp.settings import LspSettings, parse_settings, setting_names


def test_no_settings_give_the_defaults() -> None:
    assert parse_settings(None, {}, {"assistant": None}).settings == LspSettings()


def test_later_sources_win() -> None:
    parsed = parse_settings({"delivery": "resolve", "maxTokens": 7}, {"delivery": "command"})
    assert parsed.settings == LspSettings(delivery="command", max_tokens=7)
    assert parsed.complaints == ()


def test_keys_are_taken_in_each_spelling_and_with_the_section_around_them() -> None:
    for source in ({"hiddenActions": ["optimize"]}, {"assistant": {"hidden-actions": ["optimize"]}}):
        assert parse_settings(source).settings == LspSettings(hidden_actions=("optimize",))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"delivery": "push"}, "assistant.delivery must be one of auto, command, resolve, got 'push'"),
        ({"delivery": ["auto"]}, "must be one of"),
        ({"positionEncoding": 16}, "must be one of auto, utf-8, utf-16, utf-32, got 16"),
        ({"hiddenActions": "optimize"}, "must be a list of names"),
        ({"hiddenActions": [1]}, "must be a list of names"),
        ({"confirmEdits": 1}, "must be true or false"),
        ({"maxTokens": -1}, "must be a whole number from 0"),
        ({"maxTokens": True}, "must be a whole number from 0"),
        ({"delivry": "auto"}, "there is no setting assistant.delivry: did you mean delivery?"),
        ({"zzz": 1}, "there are delivery, positionEncoding"),
        ([1, 2], "must be an object"),
        ("auto", "must be an object"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_and_left_out(source: object, said: str) -> None:
    parsed = parse_settings(source)
    assert parsed.settings == LspSettings()
    assert len(parsed.complaints) == 1
    assert said in parsed.complaints[0]


@pytest.mark.parametrize(
    "key",
    ["model", "modelPath", "generator.url", "socket", "serverPath", "home", "generator", "url", "apiToken"],
)
def test_an_editor_cannot_set_programs_models_or_addresses(key: str) -> None:
    parsed = parse_settings({key: "http://evil.example"})
    assert parsed.settings == LspSettings()
    assert "cannot be set by an editor" in parsed.complaints[0]


def test_one_mistake_does_not_lose_the_other_settings() -> None:
    parsed = parse_settings({"delivery": "command", "maxTokens": "many"})
    assert parsed.settings.delivery == "command"


def test_the_same_mistake_in_two_sources_is_told_once() -> None:
    assert len(parse_settings({"delivry": 1}, {"delivry": 1}).complaints) == 1


def test_an_editors_own_keys_are_no_mistake() -> None:
    assert parse_settings({"trace": {"server": "off"}, "serverCommand": ["assistant"]}).complaints == ()


def test_every_setting_can_be_set() -> None:
    values = {"delivery": "resolve", "positionEncoding": "utf-8", "hiddenActions": ["x"], "maxTokens": 3}
    values |= {"confirmEdits": True}
    assert set(values) == set(setting_names())
    parsed = parse_settings(values)
    assert parsed.complaints == ()
    assert all(getattr(parsed.settings, name) for name in LspSettings.__dataclass_fields__)
