from __future__ import annotations

import threading
import time

import pytest

from assistant.errors import ModelError, RequestRefusedError, UnsafeModelError
from assistant.templates import render_template

MESSAGES = [{"role": "user", "content": "Reverse a list"}]

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def render(template: str, *, limit_s: float = 5.0, messages: object = MESSAGES) -> str:
    return render_template(template, messages, bos_token="<s>", eos_token="</s>", limit_s=limit_s)  # type: ignore[arg-type]


def rendering_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "chat-template"]


def test_template_is_rendered_with_messages_and_special_tokens() -> None:
    template = (
        "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m['content'] }}{{ eos_token }}{% endfor %}"
    )
    assert render(template) == "<s>user: Reverse a list</s>"


def test_common_template_opens_the_answer_when_asked() -> None:
    assert render(CHATML) == "<|im_start|>user\nReverse a list<|im_end|>\n<|im_start|>assistant\n"


def test_answer_stays_unopened_when_not_asked() -> None:
    rendered = render_template(CHATML, MESSAGES, bos_token=None, eos_token=None, add_generation_prompt=False)
    assert rendered.endswith("<|im_end|>\n")


def test_missing_token_renders_as_nothing() -> None:
    assert render_template("[{{ bos_token }}]", MESSAGES, bos_token=None, eos_token=None) == "[]"


def test_blocks_are_trimmed_as_transformers_does() -> None:
    assert render("    {% if true %}\nyes\n    {% endif %}\nend") == "yes\nend"


def test_tools_are_none_and_not_undefined() -> None:
    assert render("{% if tools is not none %}tools{% else %}none{% endif %}") == "none"


def test_loop_controls_are_there() -> None:
    assert render("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}") == "01"


def test_generation_tag_renders_its_body() -> None:
    assert render("{% generation %}words{% endgeneration %}") == "words"


def test_tojson_leaves_markup_alone() -> None:
    assert render("{{ messages | tojson }}") == '[{"role": "user", "content": "Reverse a list"}]'
    assert render("{{ '<é>' | tojson }}") == '"<é>"'


def test_namespace_carries_a_value_out_of_a_loop() -> None:
    template = (
        "{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}"
    )
    assert render(template) == "6"


def test_macro_and_join_and_slices_work() -> None:
    template = "{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(['a', 'b', 'c'][1:] | join('-')) ~ {'k': 1}.k }}"
    assert render(template) == "<b-c>1"


def test_refusal_of_the_template_is_told() -> None:
    with pytest.raises(RequestRefusedError, match="no system role here"):
        render("{{ raise_exception('no system role here') }}")


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__base__.__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ raise_exception.__globals__['functools'] }}",
        "{{ namespace.__init__.__globals__['json'].dumps(1) }}",
        "{{ dict.__class__.__mro__ }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ ('%s' | attr('__class__')).__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'role': 'x'}) }}",
        "{% set ns = namespace() %}{% set ns.__class__ = 1 %}",
        "{{ namespace(__class__=1) }}",
    ],
)
def test_reaching_out_of_the_sandbox_yields_nothing(template: str) -> None:
    try:
        rendered = render(template)
    except (UnsafeModelError, ModelError):
        return
    assert rendered == ""


LOOPS = {
    "nested": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "calls": "{% for i in range(99999) %}{% for j in range(99999) %}{{ ''.strip() }}{% endfor %}{% endfor %}",
    "filters": "{% for i in range(99999) %}{{ range(99999) | map('string') | list | length }}{% endfor %}",
    "macro": "{% macro m() %}{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}"
    "{% endmacro %}{{ m() | length }}",
}


@pytest.mark.parametrize("name", LOOPS)
def test_endless_loop_is_ended_and_leaves_no_thread(name: str) -> None:
    with pytest.raises(UnsafeModelError, match="not done after"):
        render(LOOPS[name], limit_s=0.3)
    assert rendering_threads() == []


def test_output_without_end_is_cut_before_it_fills_the_memory() -> None:
    with pytest.raises(UnsafeModelError, match="wrote more than"):
        render("{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}")
    assert rendering_threads() == []


def sixty_times(start: str, step: str) -> str:
    opening = "{% set ns = namespace(a=" + start + ") %}{% for i in range(60) %}"
    return opening + step + "{% endfor %}{{ ns.a }}"


BOMBS = {
    "repetition": "{{ 'a' * 10**9 }}",
    "repetition, other way round": "{{ 10**9 * 'a' }}",
    "list repetition": "{{ [0] * 10**9 }}",
    "power": "{{ 10 ** (10 ** 8) }}",
    "squares": sixty_times("3", "{% set ns.a = ns.a * ns.a %}"),
    "doubling": sixty_times("'ab'", "{% set ns.a = ns.a + ns.a %}"),
    "tilde": sixty_times("'ab'", "{% set ns.a = ns.a ~ ns.a %}"),
    "nested lists": sixty_times("[0]", "{% set ns.a = [ns.a, ns.a] %}"),
    "nested tuples": sixty_times("(0,)", "{% set ns.a = (ns.a, ns.a) %}"),
    "nested dicts": sixty_times("{}", "{% set ns.a = {'x': ns.a, 'y': ns.a}.items() %}"),
    "captured block": sixty_times("'ab'", "{% set b %}{{ ns.a }}{{ ns.a }}{% endset %}{% set ns.a = b %}"),
    "macro": "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}" + sixty_times("'ab'", "{% set ns.a = m(ns.a) %}"),
    "padding": "{{ 'a'.ljust(10000000000) }}",
    "tabs": "{{ ('\t' * 10000).expandtabs(100000) }}",
    "replacement": "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
    "replacing filter": "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}",
    "join": "{{ range(99999) | join('a' * 100000) }}",
    "join method": "{{ ('a' * 100000).join(range(99999) | map('string') | list) }}",
    "percent": "{{ '%9999999999d' % 1 }}",
    "percent star": "{{ '%*d' % (999999999, 1) }}",
    "format": "{{ '{:>9999999999}'.format(1) }}",
    "nested format": "{{ '{:>{}}'.format(1, 999999) }}",
    "indent": "{{ ('a\n' * 100000) | indent(10000) }}",
    "indented JSON": "{{ messages | tojson(indent=100000000) }}",
    "rounding": "{{ 1.5 | round(1000000000, 'floor') }}",
    "bytes": "{{ (5).to_bytes(1000000000, 'big') }}",
    "range": "{{ range(10**9) | list }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_value_that_explodes_is_refused(name: str) -> None:
    with pytest.raises(UnsafeModelError):
        render(BOMBS[name])
    assert rendering_threads() == []


@pytest.mark.parametrize(
    "template",
    ["{% if %}", "{{ messages | center(9) }}", "{{ nothing.there }}", "{{ 1 / 0 }}", "{{ 'a' + 1 }}"],
)
def test_broken_template_is_told_apart_from_an_unsafe_one(template: str) -> None:
    with pytest.raises(ModelError, match="broken") as caught:
        render(template)
    assert not isinstance(caught.value, UnsafeModelError)


def test_giant_template_is_not_even_parsed() -> None:
    with pytest.raises(UnsafeModelError, match="characters"):
        render("x" * 300_000)


def test_long_conversation_is_within_the_limits() -> None:
    messages = [{"role": "user", "content": "x" * 10_000} for _ in range(400)]
    assert len(render(CHATML, messages=messages)) > 4_000_000


def test_other_threads_go_on_while_a_template_is_ended() -> None:
    done = threading.Event()

    def other() -> None:
        while not done.is_set():
            time.sleep(0.01)

    thread = threading.Thread(target=other)
    thread.start()
    with pytest.raises(UnsafeModelError):
        render(LOOPS["nested"], limit_s=0.1)
    alive = thread.is_alive()
    done.set()
    thread.join()
    assert alive
