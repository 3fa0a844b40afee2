"""The parts of the screens, one a file. A widget shows a value and posts messages upwards."""
