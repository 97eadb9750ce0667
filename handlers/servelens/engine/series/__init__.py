"""What is run for methods that need images of their own; a series serves every method that can
read it, so that methods asked for together share its passes."""
