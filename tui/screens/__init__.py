"""The screens of the chat, one a file. A screen routes messages; decisions are made elsewhere."""
