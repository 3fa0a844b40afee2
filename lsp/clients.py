"""What the editor at the other end can do, read once from its first message."""

from __future__ import annotations

from dataclasses import dataclass

from lsprotocol import types

PATIENT_EDITORS = ("visual studio code", "vscodium", "cursor", "neovim")
"""They ask for an action's edit without freezing while they wait. Helix and Emacs freeze."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One editor's abilities."""

    name: str = ""
    """As it calls itself."""
    has_literals: bool = False
    """It takes code actions with a kind; an older one takes bare commands."""
    has_data: bool = False
    """It keeps an action's data until it asks for the edit."""
    resolves_edits: bool = False
    knows_model_tag: bool = False
    """It can mark actions that a language model carries out."""
    has_document_changes: bool = False
    """It takes edits with the version they were made for."""
    can_create_files: bool = False
    has_annotations: bool = False
    """It can ask before it makes an edit."""
    normalizes_line_endings: bool = False
    shows_documents: bool = False
    has_configuration: bool = False
    """It can be asked for its settings."""
    tells_configuration: bool = False
    """It can be asked to tell when its settings change."""

    @property
    def may_resolve(self) -> bool:
        """Whether it can ask for an action's edit, and does not freeze while it waits."""
        is_patient = any(name in self.name.lower() for name in PATIENT_EDITORS)
        return is_patient and self.has_literals and self.has_data and self.resolves_edits

    @property
    def ends_new_files(self) -> bool:
        """Whether it writes a last line end of its own into a file that an edit creates."""
        return "neovim" in self.name.lower()


def read_client(params: types.InitializeParams) -> Client:
    """Gather what an editor says of itself; what it does not mention it cannot do."""
    text_document = params.capabilities.text_document or types.TextDocumentClientCapabilities()
    workspace = params.capabilities.workspace or types.WorkspaceClientCapabilities()
    window = params.capabilities.window or types.WindowClientCapabilities()
    action = text_document.code_action or types.CodeActionClientCapabilities()
    edit = workspace.workspace_edit or types.WorkspaceEditClientCapabilities()
    lazy = action.resolve_support.properties if action.resolve_support else ()
    tags = action.tag_support.value_set if action.tag_support else ()
    told = workspace.did_change_configuration
    return Client(
        name=params.client_info.name if params.client_info else "",
        has_literals=action.code_action_literal_support is not None,
        has_data=bool(action.data_support),
        resolves_edits="edit" in lazy,
        knows_model_tag=types.CodeActionTag.LlmGenerated in tags,
        has_document_changes=bool(edit.document_changes),
        can_create_files=types.ResourceOperationKind.Create in (edit.resource_operations or ()),
        has_annotations=edit.change_annotation_support is not None,
        normalizes_line_endings=bool(edit.normalizes_line_endings),
        shows_documents=bool(window.show_document and window.show_document.support),
        has_configuration=bool(workspace.configuration),
        tells_configuration=bool(told and told.dynamic_registration),
    )
