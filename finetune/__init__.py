"""From data to a fine-tuned model: build, train, merge, measure, put in service.

Knows the prompt contract and the model store of `assistant`, never its engine. The data half names no torch.
"""
