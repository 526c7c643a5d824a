"""What leaves, and what stays: writing, documents, manifest, custody, dossier, verification."""
