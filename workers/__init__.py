"""The processes behind RQ: inference in batches, training, and the scheduler that watches SQL."""
