"""The terminal chat, on Textual: a client of the generator that holds no model. Imports nothing here."""
