"""The model store: fetch models, check them, choose the active one. Knows no torch and no front end."""
