"""Privacy models: what every class of people must satisfy, one file each."""
