"""What runs in the parent process and in the instances that it forks."""
