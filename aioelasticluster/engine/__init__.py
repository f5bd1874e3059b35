"""What happens to a cluster: launch, liveness, teardown, settling, the journal."""
