"""What was asked and answered, kept in one SQLite file that only this user can read.

`records` has the values, `store` the file, `recorder` a writer for front ends that must never wait or fail
for it, `export` the ways out. Knows no screen and no generator.
"""
