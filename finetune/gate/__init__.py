"""Whether a trained model is better than the one it was made from, as both would be served."""
