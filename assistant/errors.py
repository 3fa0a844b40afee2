"""Every failure a user can do something about. All else is a bug and keeps its traceback.

    AssistantError                 1   the answer could not be made
    ├── UsageError                 2   a flag, a file or a value the user gave
    │   └── ConfigError            2   a key or value in a configuration file or variable
    ├── RequestRefusedError        1   the generator understood and said no
    │   └── ContextOverflowError   1   the prompt is longer than the model's context
    ├── GeneratorError             3   the generator is not there, or went away
    │   ├── GeneratorBusyError     3   its queue stayed full
    │   └── GeneratorLostError     3   it ended in the middle of an answer
    ├── ModelError                 3   a model is missing or cannot be used
    │   ├── UnknownModelError      3   no model of that name is in the store
    │   ├── DownloadError          3   a model could not be fetched
    │   └── UnsafeModelError       3   the model directory is refused
    ├── SandboxError               3   there is no sandbox to run code in, or it does not start
    ├── DeadlineError              4   it took longer than the user allows
    ├── OutOfMemoryError           5   the device has no room
    └── StorageError              74   a file could not be written

Further exit codes, given by the command line alone: 0 success, 6 a fine-tuned model is not better than
the one in service, or the second of two that are compared is worse, 7 no answer passed its tests, 70 a bug,
130 interrupted, 141 the reader of our output closed it.
"""


class AssistantError(Exception):
    """A failure with a message for the user and, where there is one, a way out.

    Args:
        message: What happened, naming the place and the value.
        hint: What to do about it, or the empty string.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AssistantError):
    """A flag, a file or a value that the user gave cannot be used."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration key or value cannot be used."""


class RequestRefusedError(AssistantError):
    """The generator understood the request and refuses it."""


class ContextOverflowError(RequestRefusedError):
    """The prompt is longer than the model's context."""


class GeneratorError(AssistantError):
    """The generator cannot be reached, or answers with nonsense."""

    exit_code = 3


class GeneratorBusyError(GeneratorError):
    """The generator's queue stayed full for as long as the caller would wait."""


class GeneratorLostError(GeneratorError):
    """The generator ended in the middle of an answer."""


class ModelError(AssistantError):
    """A model is missing, damaged or cannot be loaded."""

    exit_code = 3


class UnknownModelError(ModelError):
    """No model of that name is in the store."""


class DownloadError(ModelError):
    """A model could not be fetched."""


class UnsafeModelError(ModelError):
    """A model directory holds something that could run code, or is not what its manifest says."""


class SandboxError(AssistantError):
    """There is no way to run code safely here, or a sandbox does not start. Code is never run without one."""

    exit_code = 3


class DeadlineError(AssistantError):
    """An answer took longer than the user allows."""

    exit_code = 4


class OutOfMemoryError(AssistantError):
    """The device has no room for the model or for the request."""

    exit_code = 5


class StorageError(AssistantError):
    """A file could not be written: a full disk, a read-only place."""

    exit_code = 74
