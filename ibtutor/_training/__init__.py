"""Parts of `ibtutor.train`: plan, schedule, replicas, checkpoints. Use `ibtutor.train`."""
