"""An adapter into its base: shard by shard, on the CPU, and whether the result is what was trained."""
