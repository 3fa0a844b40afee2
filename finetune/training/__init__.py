"""Training an adapter on a run's tokens. Modules that name torch are imported when training begins."""
