"""Code actions in any editor: a language server that is a client of the shared generator. Holds no model."""
