"""What runs in the services' own environment: nothing here may import the project."""
