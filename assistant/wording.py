"""The words of the prompt formats, in the one place that has them. Knows no turns and no tokenizer.

`chat` is not here: its words are the model's own chat template's.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What stands around a task, its input and its code."""

    instruction: str
    """A heading, a line of its own, as are `task`, `input` and `response`."""
    directive: str
    """What the model is told to do, under the first heading."""
    task: str
    input: str
    response: str

    @property
    def before_task(self) -> str:
        """What a prompt opens with."""
        return f"{self.instruction}\n{self.directive}\n\n{self.task}\n"

    @property
    def before_input(self) -> str:
        """What stands between task and input, also where the input is empty."""
        return f"\n\n{self.input}\n"

    @property
    def before_response(self) -> str:
        """What a prompt ends with."""
        return f"\n\n{self.response}\n"

    @property
    def headings(self) -> tuple[str, ...]:
        """The lines that parts begin with, the response's last."""
        return (self.instruction, self.task, self.input, self.response)


WORDINGS = {
    "python-task": Wording(
        instruction="### Instruction:",
        directive="Use the Task below and the Input given to write the Response, "
        "which is a programming code that can solve the following Task:",
        task="### Task:",
        input="### Input:",
        response="### Response:",
    ),
    "python-task-es": Wording(
        instruction="### Instrucción:",
        directive="Usa la Tarea que sigue y la Entrada dada para escribir la Respuesta, "
        "que es un código de programación que puede resolver la siguiente Tarea:",
        task="### Tarea:",
        input="### Entrada:",
        response="### Respuesta:",
    ),
    "python-task-2023": Wording(
        instruction="### Instruction:",
        directive="Use the Task below and the Input given to write the Response, "
        "which is a programming code that can solve the Task.",
        task="### Task:",
        input="### Input:",
        response="### Response:",
    ),
}
"""The formats that are text alone, by name. Their words are what models were trained on: a changed letter is
another format and needs another name."""
