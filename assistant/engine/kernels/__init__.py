"""The compiled part of the engine: what a Llama does most on a CPU, in C++, built on the user's machine."""
