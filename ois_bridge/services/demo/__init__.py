"""A department of persons who do not exist, made by the use cases themselves."""
