# pyright: basic
"""What is looked at before the model is loaded: rows, steps, memory, disk. And errors of torch as ours."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from assistant.errors import OutOfMemoryError, StorageError, UsageError
from finetune.base import Base
from finetune.rows import EVAL, TRAIN
from finetune.rundir import RunDir
from finetune.training.hardware import Setup
from finetune.training.memory import SHARE, Shape, check_memory, estimate_memory, read_shape
from finetune.training.plan import Plan, build_plan, check_batch, find_micro_batch
from finetune.training.processes import Processes

MICRO_BATCH = {"cpu": 2, "cuda": 8}
"""More rows at once bring nothing but use of memory: on a CPU, one and eight are equally fast."""
CHECKPOINTS = 4
"""That may be on the disk at once: two, the best, and one that is being written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A training as it fits this machine."""

    sequences: list[Any]
    held_out: list[Any]
    plan: Plan
    shape: Shape
    micro_batch: int
    """Sequences that a device computes at once."""
    checkpointing: bool
    """Whether activations are computed twice, to keep fewer."""
    memory: int
    """Bytes at the peak, estimated."""

    @property
    def checkpoint_bytes(self) -> int:
        """What one checkpoint takes on the disk: adapter and two moments, float32."""
        return self.shape.adapter * 12 + 1_000_000


def find_fit(run: RunDir, base: Base, setup: Setup, processes: Processes) -> Fit:
    """Read the rows and plan the steps, and find what memory allows.

    Raises:
        UsageError: The rows or the options cannot be used.
        OutOfMemoryError: Nothing fits.
    """
    options = setup.options
    if options.tensorboard and find_spec("tensorboard") is None:
        raise UsageError("tensorboard is not installed", hint="`pip install tensorboard`, or leave it out")
    reading: Any = import_module("finetune.training.sequences")
    rows = reading.read_training_rows(run, TRAIN, options)
    reading.check_rows(rows, run)
    limit = max(run.read_record("tokens")["max_tokens"], *(len(one.input_ids) for one in rows))
    sequences = reading.build_sequences(rows, options, limit)
    held_out = [[one] for one in reading.read_training_rows(run, EVAL, options)]
    check_batch(len(sequences), options)
    shape = read_shape(base.directory, options)
    lengths = [reading.count_tokens(one) for one in sequences]
    longest = max([*lengths, *(reading.count_tokens(one) for one in held_out)])
    learnt = max(sum(label >= 0 for row in one for label in row.labels) for one in [*sequences, *held_out])
    choice = _choose(setup, shape, processes, longest, learnt)
    micro, checkpointing, needed = _agree(choice, setup, processes)
    check_memory(needed, setup.hardware)
    return Fit(
        sequences=sequences,
        held_out=held_out,
        plan=build_plan(lengths, options, micro),
        shape=shape,
        micro_batch=micro,
        checkpointing=checkpointing,
        memory=needed,
    )


def check_disk(run: RunDir, fit: Fit) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        StorageError: It cannot.
    """
    needed, free = CHECKPOINTS * fit.checkpoint_bytes, shutil.disk_usage(run.path).free
    if needed > free:
        raise StorageError(
            f"checkpoints need {needed / 1e6:.0f} MB and {run.path} has {free / 1e6:.0f} MB free",
            hint="free some space, or take a smaller r",
        )


@contextlib.contextmanager
def running_on(setup: Setup) -> Generator[None]:
    """Set what is set for a whole process, and say in our words that memory is full.

    Raises:
        OutOfMemoryError: It is.
    """
    torch: Any = import_module("torch")
    # It warns of a kernel for computing in four bits on a CPU, which nobody does here.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if setup.options.threads:
        torch.set_num_threads(setup.options.threads)
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        is_full = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not is_full and "out of memory" not in text and "DefaultCPUAllocator" not in text:
            raise
        raise OutOfMemoryError(
            f"{setup.hardware.name} ran out of memory while training",
            hint="--set gradient_checkpointing=on, --set micro_batch=1, a smaller r, or shorter rows",
        ) from error


def _choose(
    setup: Setup, shape: Shape, processes: Processes, longest: int, learnt: int
) -> tuple[int, bool, int]:
    """Return sequences at once, whether to compute activations twice, and the bytes that this takes.

    Activations are kept as long as one row at a time fits: computing them twice costs a third more time.
    """
    options = setup.options
    ways = {"on": (True,), "off": (False,), "auto": (False, True)}[options.gradient_checkpointing]
    most = options.micro_batch or (1 if options.packing != "none" else MICRO_BATCH[setup.hardware.kind])
    sizes = [most] if options.micro_batch else [size for size in (8, 4, 2, 1) if size <= most]
    room = setup.hardware.memory * SHARE
    if setup.hardware.kind == "cpu":
        room /= processes.count  # they share it
    found = [
        (
            micro,
            way,
            estimate_memory(shape, setup, tokens=micro * longest, learnt=micro * learnt, checkpointing=way),
        )
        for way in ways
        for micro in (find_micro_batch(options.batch_size, processes.count, size) for size in sizes)
    ]
    return next((one for one in found if one[2] <= room), found[-1])


def _agree(choice: tuple[int, bool, int], setup: Setup, processes: Processes) -> tuple[int, bool, int]:
    """Return the first process's choice: each may have found other memory free."""
    if processes.count == 1:
        return choice
    library: Any = import_module("accelerate")
    library.PartialState(cpu=setup.hardware.kind == "cpu")
    return library.utils.broadcast_object_list([choice])[0]
