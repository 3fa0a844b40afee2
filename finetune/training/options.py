"""What can be chosen about a training. Knows no file and no torch; the text under each field is its help."""

from __future__ import annotations

import difflib
import inspect
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from assistant.errors import ConfigError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """One training. The defaults are the preset `default`."""

    r: int = 64
    """Rank of the adapter: how much it can learn, and its size."""
    alpha: int = 128
    """Strength of the adapter; it is scaled by alpha / r, with rslora by alpha / sqrt(r)."""
    dropout: float = 0.05
    """Share of the adapter's inputs that is left out at random."""
    targets: str = "all-linear"
    """Layers that get an adapter: all-linear, or the ends of their names: q_proj,v_proj."""
    rslora: bool = False
    """Scale by the root of the rank: a large rank then learns as fast as a small one."""
    dora: bool = False
    """Learn the length of each row of a matrix apart from its direction; slower."""
    quantization: str = "nf4"
    """What the base is trained on as: nf4 (on a CPU its numbers, in full precision) or none."""
    double_quant: bool = True
    """Quantise the scales of nf4 too."""
    loss: str = "completion"
    """Learn the completion alone, or the full text with its prompt."""
    epochs: float = 3.0
    """How often each row is seen."""
    max_steps: int = 0
    """Stop the schedule after so many steps; 0 for what the epochs take."""
    batch_size: int = 16
    """Rows per step, of all processes together. With packing: full sequences."""
    micro_batch: int = 0
    """Rows that a device computes at once, the same result for any; 0 for what fits."""
    lr: float = 2e-4
    """Highest learning rate."""
    schedule: str = "cosine"
    """How the learning rate falls after warming up: cosine or linear (both to zero), or constant."""
    warmup: float = 0.03
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = 0.001
    """Pull of the adapter's weights towards zero."""
    max_grad_norm: float = 0.3
    """Longer gradients are shortened to this; 0 leaves them."""
    optimizer: str = "auto"
    """auto, adamw, paged_adamw_32bit or paged_adamw_8bit; auto pages on a GPU. A CPU knows adamw alone."""
    neftune: float = 0.0
    """Noise on the embeddings (NEFTune's alpha, 5 is usual); 0 for none."""
    packing: str = "none"
    """none, or bfd: rows share sequences without seeing one another."""
    group_by_length: bool = True
    """Put rows of similar length into a step: less padding."""
    gradient_checkpointing: str = "auto"
    """on computes activations twice and keeps fewer, off keeps them, auto is off where memory suffices."""
    attention: str = "sdpa"
    """Which implementation: sdpa or eager."""
    precision: str = "auto"
    """auto, fp32, bf16 or fp16; auto is bf16 on a GPU that has it, fp16 on others, fp32 on a CPU."""
    device: str = "auto"
    """auto, cpu or cuda; auto takes a GPU where there is one."""
    eval_steps: int = 0
    """Measure on the held-out rows, and write a checkpoint, every so many steps; 0 for ten times in all."""
    patience: int = 4
    """Stop when so many measurements in a row brought nothing better; 0 for never."""
    seed: int = 42
    """Another one begins with other weights and another order."""
    threads: int = 0
    """CPU threads; 0 is what torch takes."""
    tensorboard: bool = False
    """Write TensorBoard's files too."""


PRESETS = {
    "default": TrainOptions(),
    "reference": TrainOptions(
        alpha=16,
        dropout=0.1,
        targets="q_proj,v_proj",
        double_quant=False,
        loss="full",
        epochs=1.0,
        batch_size=4,
        optimizer="paged_adamw_32bit",
        packing="bfd",
        group_by_length=False,
        gradient_checkpointing="on",
        patience=0,
    ),
}
"""`reference` is what the 2023 article wrote down; its schedule, which never came to decay, does here."""


Check = Callable[[Any], str]
"""Returns what is wrong with a value, or the empty string."""


def _between(low: float, high: float) -> Check:
    return lambda value: "" if low <= value <= high else f"must be from {low:g} to {high:g}"


def _one_of(*choices: str) -> Check:
    return lambda value: "" if value in choices else f"must be one of {', '.join(choices)}"


def _targets(value: str) -> str:
    names = value.split(",")
    if value == "all-linear":
        return ""
    if any(not name.replace("_", "").replace(".", "").isalnum() for name in names):
        return "must be all-linear, or names with commas between"
    banned = [name for name in names if name in ("lm_head", "embed_tokens")]
    return f"cannot hold {banned[0]}: the adapter would be as large as the model" if banned else ""


_CHECKS: Mapping[str, Check] = {
    "r": _between(1, 1024),
    "alpha": _between(1, 4096),
    "dropout": _between(0, 0.9),
    "targets": _targets,
    "quantization": _one_of("nf4", "none"),
    "loss": _one_of("completion", "full"),
    "epochs": _between(0.01, 1000),
    "max_steps": _between(0, 10_000_000),
    "batch_size": _between(1, 65_536),
    "micro_batch": _between(0, 65_536),
    "lr": _between(1e-9, 1e4),
    "schedule": _one_of("cosine", "linear", "constant"),
    "warmup": _between(0, 0.9),
    "weight_decay": _between(0, 1),
    "max_grad_norm": _between(0, 1000),
    "optimizer": _one_of("auto", "adamw", "paged_adamw_32bit", "paged_adamw_8bit"),
    "neftune": _between(0, 100),
    "packing": _one_of("none", "bfd"),
    "gradient_checkpointing": _one_of("auto", "on", "off"),
    "attention": _one_of("sdpa", "eager"),
    "precision": _one_of("auto", "fp32", "bf16", "fp16"),
    "device": _one_of("auto", "cpu", "cuda"),
    "eval_steps": _between(0, 1_000_000),
    "patience": _between(0, 1000),
    "seed": _between(0, 2**31),
    "threads": _between(0, 1024),
}


def build_options(
    preset: str = "default", config_file: Path | None = None, sets: Sequence[str] = ()
) -> TrainOptions:
    """Return a preset with the values of a TOML file and then of `key=value` texts in it.

    The file may name its preset itself, by `preset = "..."`; then `preset` is that of a file that does not.

    Raises:
        ConfigError: A key is unknown, or a value of the wrong type or out of range.
        UsageError: The file cannot be read.
    """
    values = _read_values(config_file) if config_file else {}
    place = str(config_file)
    chosen = values.pop("preset", preset)
    if chosen not in PRESETS:
        raise ConfigError(f"there is no preset {chosen}", hint=f"there are {', '.join(PRESETS)}")
    options = PRESETS[chosen]
    for name, value in values.items():
        options = with_option(options, name, value, place)
    for text in sets:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text} is no key=value", hint="such as --set epochs=2")
        options = with_option(options, name, _parse_value(name, value), "--set")
    return options


def with_option(options: TrainOptions, name: str, value: Any, place: str) -> TrainOptions:
    """Return options with one value changed.

    Raises:
        ConfigError: There is no such key, or the value has the wrong type or is out of range.
    """
    wanted = _find_type(name, place)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        raise ConfigError(f"{place}: {name} must be {_KINDS[wanted]}, got {value!r}")
    complaint = _CHECKS[name](value) if name in _CHECKS else ""
    if complaint:
        raise ConfigError(f"{place}: {name} {complaint}, got {value!r}")
    return replace(options, **{name: value})


def describe_options() -> Iterator[tuple[str, str]]:
    """Yield each key with its help, in the order of the class."""
    lines = inspect.getsource(TrainOptions).splitlines()
    for number, line in enumerate(lines):
        name, colon, _ = line.strip().partition(": ")
        if colon and name.isidentifier() and lines[number + 1].strip().startswith('"""'):
            yield name, lines[number + 1].strip().strip('"')


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _find_type(name: str, place: str) -> type:
    types: dict[str, type] = {one.name: type(one.default) for one in fields(TrainOptions)}
    if name not in types:
        nearest = difflib.get_close_matches(name, types, n=1, cutoff=0.4)
        hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(types)}"
        raise ConfigError(f"{place}: there is no {name}", hint=hint)
    return types[name]


def _parse_value(name: str, text: str) -> Any:
    wanted = _find_type(name, "--set")
    if wanted is bool:
        return {"true": True, "false": False}.get(text, text)
    try:
        return wanted(text)
    except ValueError:
        return text


def _read_values(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read: {error}", hint="it holds lines such as epochs = 2"
        ) from error
