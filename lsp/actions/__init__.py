"""What can be done with code. Each action decides where it fits, what to ask, and what an answer becomes."""
