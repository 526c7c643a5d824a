"""What is to be done with a dataset: the policy as code, its checks, and drafts of it."""
