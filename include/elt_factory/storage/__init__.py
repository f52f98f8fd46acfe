"""Object storage, for landings and for files of sources: S3, Google Cloud Storage and Azure."""
